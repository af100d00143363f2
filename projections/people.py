"""The ``people`` view: one person each, identity sealed, as of their latest engagement.

States: ``registered``, ``fenced`` (being erased whole), ``erased`` (whole).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.base import PURGE
from projections.purges import SealedColumn
from projections.read_model import Handlers, ReadModel
from projections.rows import first
from projections.writes import Writes, insert, update

_TABLES = """
CREATE TABLE view_people (
    subject_id uuid PRIMARY KEY,
    state text NOT NULL,
    language text NOT NULL,
    registered_at timestamptz NOT NULL,
    identity jsonb
);
"""

_SET_IDENTITY = update("view_people", "subject_id", "language", "identity")
_SET_STATE = update("view_people", "subject_id", "state")


def _registered(record: Record, writes: Writes) -> None:
    row = {
        "subject_id": record.stream,
        # A registration that was parked may be taken in after the purge.
        "state": "erased" if writes.purged(record.stream) else "registered",
        "language": record.data["language"],
        "registered_at": record.occurred,
        "identity": writes.sealed(record, "identity"),
    }
    writes.add(insert("view_people"), record.stream, row)


def _engaged(record: Record, writes: Writes) -> None:
    row = {
        "subject_id": record.stream,
        "language": record.data["language"],
        "identity": writes.sealed(record, "identity"),
    }
    writes.add(_SET_IDENTITY, record.stream, row)


def _fenced(record: Record, writes: Writes) -> None:
    if record.data["whole_person"]:
        writes.add(_SET_STATE, record.stream, {"subject_id": record.stream, "state": "fenced"})


def _erased(record: Record, writes: Writes) -> None:
    if record.data["whole_person"]:
        writes.add(_SET_STATE, record.stream, {"subject_id": record.stream, "state": "erased"})


class People(ReadModel):
    """People by id."""

    name = "people"
    version = 3
    tables = _TABLES
    sealed = (SealedColumn("view_people", "identity"),)
    handlers: ClassVar[Handlers] = {
        "SubjectRegistered": _registered,
        "EngagementStarted": _engaged,
        "ErasureFenced": _fenced,
        PURGE: _erased,
    }


def person(cursor: Cursor, subject_id: UUID) -> dict[str, Any] | None:
    """Return ``{"id", "state", "language", "registered_at", "identity"}``, or ``None`` when there is no such person.

    ``identity`` is sealed (``SealedField.to_json()``) or a tombstone.
    """
    cursor.execute(
        "SELECT subject_id AS id, state, language, registered_at, identity FROM view_people WHERE subject_id = %s",
        (str(subject_id),),
    )
    return first(cursor)


def identities(cursor: Cursor, subject_ids: Sequence[UUID]) -> dict[str, Any]:
    """Return subject id → identity, sealed or a tombstone, of those people that are known."""
    cursor.execute(
        "SELECT subject_id::text, identity FROM view_people WHERE subject_id = ANY(%s::uuid[])",
        ([str(subject_id) for subject_id in subject_ids],),
    )
    return dict(cursor.fetchall())
