"""What each part of the workers last said about itself: for readiness, status and the metrics.

A part that is halted stays halted until an operator has looked; one that retries carries on by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

TABLE = """
CREATE TABLE IF NOT EXISTS process_health (
    part text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'retrying', 'halted', 'stopped')),
    detail_code text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""
STALE_SECONDS = 15
"""A part that has not reported for this long is taken for dead: it reports every few seconds."""

_REPORT = """
INSERT INTO process_health (part, state, detail_code) VALUES (%s, %s, %s)
ON CONFLICT (part) DO UPDATE SET state = excluded.state, detail_code = excluded.detail_code, updated_at = now()
WHERE excluded.state <> 'waiting' OR process_health.state NOT IN ('running', 'halted')
   OR process_health.updated_at < now() - make_interval(secs => %s)
"""


@dataclass(frozen=True)
class PartHealth:
    """One part: ``waiting`` (another worker leads), ``running``, ``retrying``, ``halted`` or ``stopped``.

    ``detail_code`` is an error's class and nothing of its text, empty when there is none; ``fresh``: heard of lately.
    """

    part: str
    state: str
    detail_code: str
    updated_at: datetime
    fresh: bool

    @property
    def well(self) -> bool:
        """Return whether the part does its work."""
        return self.fresh and self.state == "running"


def prepare(cursor: Cursor) -> None:
    """Make the table if it is missing."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('casekeeper:process_health', 0))")
    cursor.execute(TABLE)


def report(cursor: Cursor, part: str, state: str, detail_code: str = "") -> None:
    """Say how a part is. A worker that waits its turn does not overwrite what the leading one says."""
    cursor.execute(_REPORT, (part, state, detail_code, STALE_SECONDS))


def parts(cursor: Cursor) -> Sequence[PartHealth]:
    """Return what every part last said, by name; empty when no worker ever ran."""
    cursor.execute("SELECT to_regclass('process_health') IS NOT NULL")
    row = cursor.fetchone()
    if row is None or not row[0]:
        return ()
    cursor.execute(
        "SELECT part, state, detail_code, updated_at, updated_at > now() - make_interval(secs => %s) "
        "FROM process_health ORDER BY part",
        (STALE_SECONDS,),
    )
    return tuple(PartHealth(*row) for row in cursor.fetchall())
