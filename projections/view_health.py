"""How each view is: whether it is where the log is, behind and coming on, or behind and not moving.

To be behind is ordinary; to be stuck is not. What tells them apart is evidence that a view does its work: that it
moved, or that whoever runs it had read all there was on the topic. Where Kafka is away there is nothing to take in, so
that is no fault of the view's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from domain.vocabulary import VIEWS
from projections import health, parking
from projections.health import PartHealth

TABLE = """
CREATE TABLE IF NOT EXISTS view_at_end (
    view text PRIMARY KEY,
    at timestamptz NOT NULL
)
"""
STUCK_SECONDS = 30
"""A view that is behind and for so long has neither moved nor reached the topic's end is stuck."""

_NOTE = """
INSERT INTO view_at_end (view, at) VALUES (%s, now()) ON CONFLICT (view) DO UPDATE SET at = excluded.at
"""
_WORKING = """
SELECT name, position, greatest(view_positions.updated_at, at) > now() - make_interval(secs => %s)
FROM view_positions LEFT JOIN view_at_end ON view = name WHERE name = ANY (%s)
"""


@dataclass(frozen=True)
class ViewHealth:
    """One view. ``lag``: events behind the log's head; ``state``: ``current``, ``behind``, ``stuck`` or ``halted``.

    While the head is not known, ``lag`` is None and ``state`` ``unknown``, or ``halted``.
    ``error`` is the class of the error that its part reports, empty when there is none. ``parked_streams`` wait to be
    released; ``discarded_streams`` are left out until the view is built anew.
    """

    name: str
    position: int
    lag: int | None
    state: str
    error: str
    parked_streams: int
    discarded_streams: int


def note_at_end(cursor: Cursor, view: str) -> None:
    """Note that whoever runs a view has read all there is on the topic."""
    # Nothing is lost with this note, so nobody waits for the disk.
    cursor.execute("SET LOCAL synchronous_commit TO off")
    cursor.execute(_NOTE, (view,))


@dataclass(frozen=True)
class Look:
    """What was seen of all views and of the parts that run them at one moment."""

    rows: Sequence[tuple[str, int, bool]]
    parts: Mapping[str, PartHealth]
    parked: Mapping[str, int]
    discarded: Mapping[str, int]

    def against(self, head: int | None) -> Sequence[ViewHealth]:
        """Return how every view is that was ever made, by name, measured against the log's head where it is known."""
        return tuple(self._view(*row, head) for row in self.rows)

    def _view(self, name: str, position: int, working: bool, head: int | None) -> ViewHealth:
        part = self.parts.get(name)
        lag = None if head is None else max(0, head - position)
        error = part.detail_code if part else ""
        aside = self.parked.get(name, 0), self.discarded.get(name, 0)
        return ViewHealth(name, position, lag, _state(lag, working, part), error, *aside)


def look(cursor: Cursor) -> Look:
    """Look at all views. Raises psycopg2's errors; ``UndefinedTable`` before a worker has made the first view."""
    cursor.execute(_WORKING, (STUCK_SECONDS, sorted(VIEWS)))
    return Look(
        sorted(cursor.fetchall()),
        {part.part: part for part in health.parts(cursor)},
        Counter(stream.view for stream in parking.all_parked(cursor)),
        Counter(stream.view for stream in parking.all_discarded(cursor)),
    )


def _state(lag: int | None, working: bool, part: PartHealth | None) -> str:
    if part is not None and part.fresh and part.state == "halted":
        return "halted"
    if lag is None:
        return "unknown"
    if lag == 0:
        return "current"
    kafka_away = part is not None and part.fresh and part.detail_code == "KafkaUnavailable"
    return "behind" if working or kafka_away else "stuck"
