"""The ``consents`` view: what each person was asked, and what they answered.

States: ``asked``, ``granted``, ``refused``, ``withdrawn``, ``expired``. A consent whose time is over is shown as
expired at once, whether or not the event that records it is there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.read_model import Handlers, ReadModel
from projections.rows import rows
from projections.writes import Statement, Writes, update

_TABLES = """
CREATE TABLE view_consents (
    consent_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    purpose text NOT NULL,
    recipient_ids uuid[] NOT NULL,
    categories text[] NOT NULL,
    policy_version text NOT NULL,
    language text NOT NULL,
    method text NOT NULL,
    state text NOT NULL,
    valid_until timestamptz,
    recorded_at timestamptz NOT NULL,
    granted_at timestamptz,
    withdrawn_at timestamptz,
    fenced boolean NOT NULL
);
CREATE INDEX ON view_consents (subject_id);
CREATE INDEX ON view_consents (valid_until) WHERE state = 'granted' AND NOT fenced;
"""

_ANSWER = Statement(
    "view_consents",
    """
INSERT INTO view_consents SELECT * FROM jsonb_populate_recordset(NULL::view_consents, %s)
ON CONFLICT (consent_id) DO UPDATE
SET purpose = excluded.purpose, recipient_ids = excluded.recipient_ids, categories = excluded.categories,
    policy_version = excluded.policy_version, language = excluded.language, method = excluded.method,
    state = excluded.state, valid_until = excluded.valid_until, granted_at = excluded.granted_at
""",
)

_WITHDRAW = update("view_consents", "consent_id", "state", "withdrawn_at")
_EXPIRE = update("view_consents", "consent_id", "state")
_FENCE = update("view_consents", "subject_id", "fenced")


def _terms(state: str) -> Callable[[Record, Writes], None]:
    def handle(record: Record, writes: Writes) -> None:
        data = record.data
        row = {
            "consent_id": data["consent_id"],
            "subject_id": record.stream,
            "purpose": data["consent_purpose"],
            "recipient_ids": data["recipient_ids"],
            "categories": data["categories"],
            "policy_version": data["notice_version"],
            "language": data["language"],
            "method": data["method"],
            "state": state,
            "valid_until": data["valid_until"],
            "recorded_at": record.occurred,
            "granted_at": record.occurred if state == "granted" else None,
            "fenced": False,
        }
        writes.add(_ANSWER, row["consent_id"], row)

    return handle


def _withdrawn(record: Record, writes: Writes) -> None:
    consent_id = record.data["consent_id"]
    row = {"consent_id": consent_id, "state": "withdrawn", "withdrawn_at": record.occurred}
    writes.add(_WITHDRAW, consent_id, row)


def _expired(record: Record, writes: Writes) -> None:
    consent_id = record.data["consent_id"]
    writes.add(_EXPIRE, consent_id, {"consent_id": consent_id, "state": "expired"})


def _fenced(record: Record, writes: Writes) -> None:
    """Nothing can be recorded about a person who is erased whole, so their consents never fall due."""
    if record.data["whole_person"]:
        writes.flush()
        writes.add(_FENCE, record.stream, {"subject_id": record.stream, "fenced": True})


class Consents(ReadModel):
    """Consents by person."""

    name = "consents"
    version = 2
    tables = _TABLES
    handlers: ClassVar[Handlers] = {
        "ConsentRequested": _terms("asked"),
        "ConsentGranted": _terms("granted"),
        "ConsentRefused": _terms("refused"),
        "ConsentWithdrawn": _withdrawn,
        "ConsentExpired": _expired,
        "ErasureFenced": _fenced,
    }


_OF_PERSON = """
SELECT consent_id AS id, purpose, recipient_ids::text[] AS recipient_ids, categories, policy_version, language, method,
       CASE WHEN state = 'granted' AND valid_until <= %s THEN 'expired' ELSE state END AS state,
       valid_until, granted_at, withdrawn_at
FROM view_consents WHERE subject_id = %s ORDER BY recorded_at, consent_id
"""

_DUE = """
SELECT subject_id::text, consent_id::text FROM view_consents
WHERE state = 'granted' AND NOT fenced AND valid_until <= %s ORDER BY valid_until, consent_id LIMIT %s
"""


def consents_of(cursor: Cursor, subject_id: UUID, at: datetime) -> list[dict[str, Any]]:
    """Return a person's consents in the order they were first recorded, with their states as they are at a moment.

    Items: ``{"id", "purpose", "recipient_ids", "categories", "policy_version", "language", "method", "state",
    "valid_until", "granted_at", "withdrawn_at"}``.
    """
    cursor.execute(_OF_PERSON, (at, str(subject_id)))
    return rows(cursor)


def due_to_expire(cursor: Cursor, at: datetime, limit: int = 100) -> list[tuple[UUID, UUID]]:
    """Return (person, consent) of granted consents that are over at a moment, those that ran out first first.

    A consent is over from its ``valid_until`` on (policy clause 3). Those of people who are erased whole are left out.
    """
    cursor.execute(_DUE, (at, limit))
    return [(UUID(subject_id), UUID(consent_id)) for subject_id, consent_id in cursor]
