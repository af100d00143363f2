"""What each view has erased: so that a late event cannot bring a sealed value back, and forgetting can be certified.

Row ``(view, id)``: the id of a key scope, of a person (the whole person is erased), or of a certificate (the view has
purged all that this certificate erases).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from domain.sealed import tombstone

TABLE = """
CREATE TABLE IF NOT EXISTS view_purges (
    view text NOT NULL,
    id uuid NOT NULL,
    tombstone jsonb NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (view, id)
)
"""

_NOTE = """
INSERT INTO view_purges (view, id, tombstone, position)
SELECT %s, unnest(%s::uuid[]), %s, %s
ON CONFLICT (view, id) DO NOTHING
"""

_REPLACE = sql.SQL("""
UPDATE {table} SET {column} = %(tombstone)s
WHERE {column} ->> 'subject_id' = %(subject)s AND (%(whole)s OR {column} ->> 'scope_id' = ANY(%(scopes)s))
""")


@dataclass(frozen=True)
class SealedColumn:
    """A ``jsonb`` column that keeps sealed values (``SealedField.to_json()``), or tombstones where they stood."""

    table: str
    column: str

    @property
    def index(self) -> str:
        """Return the DDL that indexes the column by the person whose values it keeps."""
        return f"CREATE INDEX ON {self.table} (({self.column} ->> 'subject_id'));\n"


def purge(cursor: Cursor, view: str, columns: Sequence[SealedColumn], record: Record) -> dict[str, Any]:
    """Replace what ``ErasureKeysDestroyed`` erases by tombstones, note that it is done, and return them by id.

    What an earlier certificate erased keeps that certificate's tombstone.
    """
    data = record.data
    certificate_id = data["certificate_id"]
    subject_id = str(record.stream_id)
    shown = tombstone(data["destroyed_at"], certificate_id)
    kept = json.dumps(shown)
    erased = [*data["scope_ids"], *([subject_id] if data["whole_person"] else [])]
    values = {"tombstone": kept, "subject": subject_id, "whole": data["whole_person"], "scopes": data["scope_ids"]}
    for column in columns:
        statement = _REPLACE.format(table=sql.Identifier(column.table), column=sql.Identifier(column.column))
        cursor.execute(statement, values)
    cursor.execute(_NOTE, (view, [certificate_id, *erased], kept, record.position))
    return {str(UUID(id_)): shown for id_ in erased}


def tombstones(cursor: Cursor, view: str, records: Sequence[Record]) -> dict[str, Any]:
    """Return the tombstones, by key scope or person, that a view already has for anything sealed in these records."""
    parts = [part for record in records for part in record.envelope["sealed"].values()]
    ids = {part[name] for part in parts for name in ("scope_id", "subject_id")}
    if not ids:
        return {}
    cursor.execute(
        "SELECT id::text, tombstone FROM view_purges WHERE view = %s AND id = ANY(%s::uuid[])", (view, list(ids))
    )
    return dict(cursor.fetchall())


def reported(cursor: Cursor, certificate_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Return certificate → view → position at which it purged, for each view that has purged what it erases."""
    found: dict[UUID, dict[str, int]] = {certificate_id: {} for certificate_id in certificate_ids}
    ids = [str(certificate_id) for certificate_id in certificate_ids]
    cursor.execute("SELECT id::text, view, position FROM view_purges WHERE id = ANY(%s::uuid[])", (ids,))
    for id_, view, position in cursor.fetchall():
        found[UUID(id_)][view] = position
    return found
