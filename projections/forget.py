"""The ``forget`` view: how far each erasure is; and what drives it on, through a port it is handed.

Taking events in only notes them, in the transaction that moves the position. The port is called by :meth:`Forget.tick`,
from what is noted and committed. So a crash at any point loses nothing: the note is there, and the next tick calls
again. It doubles nothing: each step of the port looks at the person's stream first. And a port that fails keeps neither
the log from being read nor other erasures from going on. What the port did comes back as an event, which moves the note
on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.failures import Failures, noted
from domain.record import Record
from domain.rights import DueErasure
from domain.vocabulary import VIEWS
from projections.base import PURGE
from projections.purges import reported
from projections.read_model import Handlers, ReadModel
from projections.rows import rows
from projections.writes import Statement, Writes

REPEAT_SECONDS = 10.0
"""A step that the port has done is asked for again if its event has not come round after this time."""

TOGETHER = 100
"""The most erasures that are fenced and destroyed in one tick, which is one rotation; and the most certified."""

_TABLES = """
CREATE TABLE view_forget_sagas (
    request_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    step text NOT NULL,
    stepped_at timestamptz NOT NULL,
    cause uuid NOT NULL,
    certificate_id uuid,
    approved_position bigint
);
CREATE TABLE view_forget_certificates (
    certificate_id uuid PRIMARY KEY,
    request_id uuid NOT NULL
);
CREATE INDEX ON view_forget_sagas (request_id) WHERE step NOT IN ('certified', 'withheld');
"""

_NOTE = Statement(
    "view_forget_sagas",
    """
INSERT INTO view_forget_sagas AS saga SELECT * FROM jsonb_populate_recordset(NULL::view_forget_sagas, %s)
ON CONFLICT (request_id) DO UPDATE
SET step = excluded.step, stepped_at = excluded.stepped_at, cause = excluded.cause,
    certificate_id = coalesce(excluded.certificate_id, saga.certificate_id)
""",
)

_NOTE_CERTIFICATE = Statement(
    "view_forget_certificates",
    """
INSERT INTO view_forget_certificates SELECT * FROM jsonb_populate_recordset(NULL::view_forget_certificates, %s)
ON CONFLICT DO NOTHING
""",
)
"""An erasure that was resumed has a certificate for each run, and is found by each; a fence can be extended."""


Saga = Mapping[str, Any]
"""An erasure in progress, as :func:`unfinished` gives it."""


class ErasureSteps(Protocol):
    """What carries out the steps of an erasure. Each may be asked for any number of times, and is done once.

    A step asked for before its turn, or after it, does nothing. What is asked for several erasures together returns the
    errors of those that failed, by request; all others went on.
    """

    def fence(self, erasure: DueErasure) -> None:
        """Fence what was approved: the point of no return. Raises what kept it from that."""

    def drain(self, erasures: Sequence[DueErasure]) -> Failures:
        """Have every process let go of the keys of what is fenced, for all erasures together; takes 2 s at most."""

    def destroy(self, erasures: Sequence[DueErasure]) -> Failures:
        """Destroy the keys of what is drained, of all erasures together."""

    def certify(self, erasure: DueErasure, view_positions: Mapping[str, int]) -> None:
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
            **({"approved_position": record.position} if step == "approved" else {}),
        }
        writes.add(_NOTE, row["request_id"], row)

    return handle


def _fenced(record: Record, writes: Writes) -> None:
    _comes_to("fenced")(record, writes)
    row = {"certificate_id": record.data["certificate_id"], "request_id": record.data["request_id"]}
    writes.add(_NOTE_CERTIFICATE, row["certificate_id"], row)


class Forget(ReadModel):
    """Erasures in progress. Never parks: an erasure that cannot go on holds up nothing else, and is not set aside."""

    name = "forget"
    version = 4
    tables = _TABLES
    parks = False
    handlers: ClassVar[Handlers] = {
        "ErasureApproved": _comes_to("approved"),
        "ErasureWithheld": _comes_to("withheld"),
        "ErasureResumed": _comes_to("approved"),
        "ErasureFenced": _fenced,
        PURGE: _comes_to("destroyed"),
        "ErasureCertified": _comes_to("certified"),
    }

    def __init__(self, port: ErasureSteps) -> None:
        """Take the port that carries the steps out."""
        self._port = port
        self._asked: dict[tuple[UUID, str], float] = {}
        self._tried: dict[tuple[UUID, str], float] = {}

    def tick(self, cursor: Cursor) -> None:
        """Ask the port for every step that is due. Raises the first error it met, after asking for all the others.

        What is fenced now is drained and destroyed at once, together with what was fenced before: the events of these
        steps need not come round first. What was never tried goes before what has failed, and that in turn: however
        many cannot go on, the others do.
        """
        pending = unfinished(cursor)
        self._forget_ended({UUID(saga["id"]) for saga in pending})
        due = sorted(filter(self._is_due, pending), key=self._last_tried)
        failures: Failures = {}
        living = self._in_turn([saga for saga in due if saga["step"] != "destroyed"])
        for saga in living:
            if saga["step"] == "approved":
                with noted(failures, UUID(saga["id"])):
                    self._port.fence(_erasure(saga))
                    self._note_asked(saga, "approved")
        self._destroy(living, failures)
        self._certify(cursor, [saga for saga in due if saga["step"] == "destroyed"], failures)
        if failures:
            raise next(iter(failures.values()))

    def _destroy(self, sagas: Sequence[Saga], failures: Failures) -> None:
        """Drain and destroy together what is fenced; put what fails into ``failures``."""
        for step in (self._port.drain, self._port.destroy):
            going = [_erasure(saga) for saga in sagas if UUID(saga["id"]) not in failures]
            if going:
                failures.update(step(going))
        for saga in sagas:
            if UUID(saga["id"]) not in failures:
                # The event of the fence may not have come round yet: it then calls for nothing.
                self._note_asked(saga, "fenced")

    def _certify(self, cursor: Cursor, sagas: Sequence[Saga], failures: Failures) -> None:
        """Certify what every view has purged; put what fails into ``failures``."""
        if not sagas:
            return
        purged = reported(cursor, [UUID(saga["certificate_id"]) for saga in sagas])
        for saga in self._in_turn([s for s in sagas if purged[UUID(s["certificate_id"])].keys() >= VIEWS]):
            with noted(failures, UUID(saga["id"])):
                self._port.certify(_erasure(saga), purged[UUID(saga["certificate_id"])])
                self._note_asked(saga, "destroyed")

    def _in_turn(self, sagas: Sequence[Saga]) -> Sequence[Saga]:
        """Return the first of them, as many as go together, and note that these were tried."""
        now = time.monotonic()
        first = sagas[:TOGETHER]
        self._tried |= {_step(saga): now for saga in first}
        return first

    def _last_tried(self, saga: Saga) -> float:
        return self._tried.get(_step(saga), float("-inf"))

    def _is_due(self, saga: Saga) -> bool:
        asked = self._asked.get(_step(saga), float("-inf"))
        return time.monotonic() - asked >= REPEAT_SECONDS

    def _note_asked(self, saga: Saga, step: str) -> None:
        self._asked[UUID(saga["id"]), step] = time.monotonic()

    def _forget_ended(self, pending: set[UUID]) -> None:
        self._asked = {key: at for key, at in self._asked.items() if key[0] in pending}
        self._tried = {key: at for key, at in self._tried.items() if key[0] in pending}


def _step(saga: Saga) -> tuple[UUID, str]:
    return UUID(saga["id"]), saga["step"]


def _erasure(saga: Saga) -> DueErasure:
    return DueErasure(UUID(saga["subject_id"]), UUID(saga["id"]), UUID(saga["cause"]))


def unfinished(cursor: Cursor) -> list[dict[str, Any]]:
    """Return the erasures that go on and are not certified yet, the oldest approval first.

    ``{"id", "subject_id", "step", "cause", "certificate_id"}`` each; ``step`` is the last that was done: ``approved``,
    ``fenced`` or ``destroyed``, and ``cause`` the event of it. One that is withheld, until a hold is released, is none.
    """
    cursor.execute(
        "SELECT request_id AS id, subject_id, step, cause, certificate_id FROM view_forget_sagas "
        "WHERE step NOT IN ('certified', 'withheld') ORDER BY approved_position"
    )
    return rows(cursor)


def waiting(cursor: Cursor) -> dict[str, tuple[int, datetime]]:
    """Return, by the last step done, how many erasures are not certified yet and since when the oldest has waited."""
    cursor.execute(
        "SELECT step, count(*), min(stepped_at) FROM view_forget_sagas "
        "WHERE step NOT IN ('certified', 'withheld') GROUP BY step"
    )
    return {step: (many, oldest.astimezone(UTC)) for step, many, oldest in cursor.fetchall()}


def request_of(cursor: Cursor, certificate_id: UUID) -> UUID | None:
    """Return the request that a certificate is of, or ``None`` when there is no such certificate."""
    wanted = "SELECT request_id::text FROM view_forget_certificates WHERE certificate_id = %s"
    cursor.execute(wanted, (str(certificate_id),))
    row = cursor.fetchone()
    return UUID(row[0]) if row else None
