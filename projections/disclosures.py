"""The ``disclosures`` view: the accounting of a person's disclosures, to whom, on what basis, and how far each went.

States: ``requested``, ``authorized``, ``denied``, ``released``, ``cancelled``.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.purges import SealedColumn
from projections.read_model import Handlers, ReadModel
from projections.rows import rows
from projections.writes import Statement, Writes, insert, update

_TABLES = """
CREATE TABLE view_disclosures_recipients (
    recipient_id uuid PRIMARY KEY,
    identity jsonb
);
CREATE TABLE view_disclosures (
    disclosure_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    case_id uuid,
    recipient_id uuid NOT NULL,
    purpose text NOT NULL,
    categories text[] NOT NULL,
    basis_type text NOT NULL,
    basis_id uuid NOT NULL,
    state text NOT NULL,
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,
    authorized_at timestamptz,
    authorized_by text,
    released_at timestamptz
);
CREATE INDEX ON view_disclosures (subject_id);
"""

_AUTHORIZE = update("view_disclosures", "disclosure_id", "state", "authorized_at", "authorized_by")
_RELEASE = update("view_disclosures", "disclosure_id", "state", "released_at")
_SET_STATE = update("view_disclosures", "disclosure_id", "state")


def _recipient_registered(record: Record, writes: Writes) -> None:
    row = {"recipient_id": record.stream, "identity": writes.sealed(record, "identity")}
    writes.add(insert("view_disclosures_recipients"), record.stream, row)


def _requested(record: Record, writes: Writes) -> None:
    data = record.data
    row = {
        "disclosure_id": data["disclosure_id"],
        "subject_id": record.stream,
        "case_id": record.envelope["case_id"],
        "recipient_id": data["recipient_id"],
        "purpose": data["disclosure_purpose"],
        "categories": data["categories"],
        "basis_type": data["basis_type"],
        "basis_id": data["basis_id"],
        "state": "requested",
        "requested_at": record.occurred,
        "requested_by": record.envelope["actor"]["id"],
    }
    writes.add(insert("view_disclosures"), row["disclosure_id"], row)


def _authorized(record: Record, writes: Writes) -> None:
    values = {"authorized_at": record.occurred, "authorized_by": record.envelope["actor"]["id"]}
    _change(record, writes, _AUTHORIZE, state="authorized", **values)


def _released(record: Record, writes: Writes) -> None:
    _change(record, writes, _RELEASE, state="released", released_at=record.occurred)


def _denied(record: Record, writes: Writes) -> None:
    _change(record, writes, _SET_STATE, state="denied")


def _cancelled(record: Record, writes: Writes) -> None:
    _change(record, writes, _SET_STATE, state="cancelled")


def _change(record: Record, writes: Writes, statement: Statement, **values: Any) -> None:
    disclosure_id = record.data["disclosure_id"]
    writes.add(statement, disclosure_id, {"disclosure_id": disclosure_id, **values})


class Disclosures(ReadModel):
    """Disclosures by person. It keeps recipients' sealed names itself, so that one position covers the whole answer."""

    name = "disclosures"
    version = 1
    tables = _TABLES
    sealed = (SealedColumn("view_disclosures_recipients", "identity"),)
    handlers: ClassVar[Handlers] = {
        "RecipientRegistered": _recipient_registered,
        "DisclosureRequested": _requested,
        "DisclosureAuthorized": _authorized,
        "DisclosureDenied": _denied,
        "DisclosureReleased": _released,
        "DisclosureCancelled": _cancelled,
    }


_OF_PERSON = """
SELECT disclosure_id AS id, case_id, recipient_id, identity AS recipient, purpose, categories,
       jsonb_build_object('type', basis_type, 'id', basis_id) AS basis,
       state, requested_at, requested_by, authorized_at, authorized_by, released_at
FROM view_disclosures LEFT JOIN view_disclosures_recipients USING (recipient_id)
WHERE subject_id = %s ORDER BY requested_at, disclosure_id
"""


def disclosures_of(cursor: Cursor, subject_id: UUID) -> list[dict[str, Any]]:
    """Return a person's disclosures in the order they were asked for.

    Items: ``{"id", "case_id", "recipient_id", "recipient": sealed (``SealedField.to_json()``) or tombstone, "purpose",
    "categories", "basis": {"type", "id"}, "state", "requested_at", "requested_by", "authorized_at", "authorized_by",
    "released_at"}``.
    """
    cursor.execute(_OF_PERSON, (str(subject_id),))
    return rows(cursor)
