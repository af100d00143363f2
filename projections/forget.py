"""The ``forget`` view: how far each erasure is; and what drives it on, through a port it is handed.

Taking events in only notes them, in the transaction that moves the position. The port is called by :meth:`Forget.tick`,
from what is noted and committed. So a crash at any point loses nothing: the note is there, and the next tick calls
again. It doubles nothing: each step of the port looks at the person's stream first. And a port that fails keeps neither
the log from being read nor other erasures from going on. What the port did comes back as an event, which moves the note
on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.errors import CasekeeperError
from domain.record import Record
from domain.vocabulary import VIEWS
from projections.base import PURGE
from projections.purges import reported
from projections.read_model import Handlers, ReadModel
from projections.rows import first, rows
from projections.writes import Statement, Writes

REPEAT_SECONDS = 10.0
"""A step that the port has done is asked for again if its event has not come round after this time."""

_TABLES = """
CREATE TABLE view_forget_sagas (
    request_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    step text NOT NULL,
    stepped_at timestamptz NOT NULL,
    cause uuid NOT NULL,
    certificate_id uuid,
    approved_position bigint,
    fenced_position bigint,
    destroyed_position bigint,
    certified_position bigint
);
CREATE INDEX ON view_forget_sagas (request_id) WHERE step <> 'certified';
"""

_NOTE = Statement(
    "view_forget_sagas",
    """
INSERT INTO view_forget_sagas AS saga SELECT * FROM jsonb_populate_recordset(NULL::view_forget_sagas, %s)
ON CONFLICT (request_id) DO UPDATE
SET step = excluded.step, stepped_at = excluded.stepped_at, cause = excluded.cause,
    certificate_id = coalesce(excluded.certificate_id, saga.certificate_id),
    fenced_position = coalesce(excluded.fenced_position, saga.fenced_position),
    destroyed_position = coalesce(excluded.destroyed_position, saga.destroyed_position),
    certified_position = coalesce(excluded.certified_position, saga.certified_position)
""",
)


class Forgetting(Protocol):
    """What carries out the steps of an erasure. Each may be asked for any number of times, and is done once.

    ``cause`` is the event that calls for the step. All raise ``RetriableError`` when they should be asked for again.
    """

    def fence(self, subject_id: UUID, request_id: UUID, cause: UUID) -> None:
        """Fence what was approved: the point of no return."""

    def destroy(self, subject_id: UUID, request_id: UUID, cause: UUID) -> None:
        """Destroy the keys of what is fenced."""

    def certify(self, subject_id: UUID, request_id: UUID, cause: UUID, view_positions: Mapping[str, int]) -> None:
        """Certify the erasure; ``view_positions`` says at which position each view has purged."""


def _comes_to(step: str) -> Callable[[Record, Writes], None]:
    def handle(record: Record, writes: Writes) -> None:
        row = {
            "request_id": record.data["request_id"],
            "subject_id": record.stream_id,
            "step": step,
            "stepped_at": record.occurred_at,
            "cause": record.event_id,
            "certificate_id": record.data.get("certificate_id"),
            f"{step}_position": record.position,
        }
        writes.add(_NOTE, row["request_id"], row)

    return handle


class Forget(ReadModel):
    """Erasures in progress. Never parks: an erasure that cannot go on holds up nothing else, and is not set aside."""

    name = "forget"
    version = 2
    tables = _TABLES
    parks = False
    handlers: ClassVar[Handlers] = {
        "ErasureApproved": _comes_to("approved"),
        "ErasureFenced": _comes_to("fenced"),
        PURGE: _comes_to("destroyed"),
        "ErasureCertified": _comes_to("certified"),
    }

    def __init__(self, port: Forgetting) -> None:
        """Take the port that carries the steps out."""
        self._port = port
        self._asked: dict[tuple[str, str], float] = {}

    def tick(self, cursor: Cursor) -> None:
        """Ask the port for every step that is due. Raises the first error it met, after asking for all the others."""
        errors: list[CasekeeperError] = []
        pending = unfinished(cursor)
        self._forget_asked({(saga["id"], saga["step"]) for saga in pending})
        for saga in pending:
            key = saga["id"], saga["step"]
            if time.monotonic() - self._asked.get(key, float("-inf")) < REPEAT_SECONDS:
                continue
            try:
                if self._ask(cursor, saga):
                    self._asked[key] = time.monotonic()
            except CasekeeperError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _ask(self, cursor: Cursor, saga: Mapping[str, Any]) -> bool:
        """Ask for the step that follows; ``False`` while views have yet to purge."""
        ids = UUID(saga["subject_id"]), UUID(saga["id"]), UUID(saga["cause"])
        if saga["step"] == "approved":
            self._port.fence(*ids)
        elif saga["step"] == "fenced":
            self._port.destroy(*ids)
        else:
            purged = reported(cursor, UUID(saga["certificate_id"]))
            if not purged.keys() >= VIEWS:
                return False
            self._port.certify(*ids, purged)
        return True

    def _forget_asked(self, pending: set[tuple[str, str]]) -> None:
        self._asked = {key: at for key, at in self._asked.items() if key in pending}


_COLUMNS = """
request_id AS id, subject_id, step, cause, certificate_id,
approved_position, fenced_position, destroyed_position, certified_position
"""


def unfinished(cursor: Cursor) -> list[dict[str, Any]]:
    """Return the erasures that are not certified yet, as :func:`progress` gives them; the oldest approval first."""
    cursor.execute(
        f"SELECT {_COLUMNS} FROM view_forget_sagas WHERE step <> 'certified' ORDER BY approved_position"  # noqa: S608
    )
    return rows(cursor)


def waiting(cursor: Cursor) -> dict[str, tuple[int, datetime]]:
    """Return, by the last step done, how many erasures are not certified yet and since when the oldest has waited."""
    cursor.execute(
        "SELECT step, count(*), min(stepped_at) FROM view_forget_sagas WHERE step <> 'certified' GROUP BY step"
    )
    return {step: (many, oldest.astimezone(UTC)) for step, many, oldest in cursor.fetchall()}


def progress(cursor: Cursor, request_id: UUID) -> dict[str, Any] | None:
    """Return how far an erasure is, or ``None`` when none was approved on this request.

    ``{"id", "subject_id", "step", "cause", "certificate_id", "approved_position", "fenced_position",
    "destroyed_position", "certified_position"}``; ``step`` is the last that was done: ``approved``, ``fenced``,
    ``destroyed`` or ``certified``.
    """
    cursor.execute(f"SELECT {_COLUMNS} FROM view_forget_sagas WHERE request_id = %s", (str(request_id),))  # noqa: S608
    return first(cursor)
