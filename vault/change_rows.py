"""SQL of the key change log: notes of changes that wait in the cluster, and which part of the log holds the rest.

Every function takes an open cursor; driver errors pass through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from vault.change_file import Mark

RELATIONS = {
    "key_root": "one",
    "key_scope": "scope_id",
    "key_node": "node_id",
    "destruction": "certificate_id",
    "destroyed_person": "subject_id",
    "destroyed_scope": "scope_id",
    "suppression": "mac",
}
"""The tables of keys and the suppression list, each with the column that names a row, in the order of putting back."""

Row = dict[str, Any]
_PAGE = 2_000
_MARK = "SELECT generation, length, chain FROM key_log"
_SEQS_SKIPPED = 1_000
"""How many numbers a restored cluster skips after the last in the log."""


@dataclass(frozen=True)
class Change:
    """One note: rows of one table that arrived or changed, or that are gone, as JSON objects."""

    seq: int
    relation: str
    gone: bool
    rows: list[Row]

    def to_json(self) -> list[Any]:
        """Return the note as it stands in the log."""
        return [self.seq, self.relation, self.gone, self.rows]


def waiting(cursor: Cursor) -> bool:
    """Return whether there are changes that are not known to be in the log."""
    cursor.execute("SELECT EXISTS (SELECT FROM key_change)")
    return bool(cursor.fetchone()[0])


def take_mark(cursor: Cursor) -> Mark | None:
    """Return which part of the log holds all that does not wait here, its row locked; ``None`` before the first."""
    cursor.execute(f"{_MARK} FOR UPDATE")
    return _mark(cursor)


def read_mark(cursor: Cursor) -> Mark | None:
    """Return which part of the log holds all that does not wait here; ``None`` before the first."""
    cursor.execute(_MARK)
    return _mark(cursor)


def set_mark(cursor: Cursor, mark: Mark) -> None:
    """Record which part of the log holds all that does not wait here."""
    cursor.execute(
        """
        INSERT INTO key_log (generation, length, chain) VALUES (%s, %s, %s)
        ON CONFLICT (one) DO UPDATE SET generation = excluded.generation, length = excluded.length,
            chain = excluded.chain
        """,
        (mark.generation, mark.length, mark.chain),
    )


def take_changes(cursor: Cursor) -> list[Change]:
    """Take the changes that wait, in order."""
    cursor.execute("DELETE FROM key_change RETURNING seq, relation, gone, rows::text")
    return _changes(cursor)


def read_changes(cursor: Cursor) -> list[Change]:
    """Return the changes that wait, in order, and leave them."""
    cursor.execute("SELECT seq, relation, gone, rows::text FROM key_change")
    return _changes(cursor)


def all_rows(cursor: Cursor, relation: str) -> Iterator[list[Row]]:
    """Yield all rows of a table of keys as JSON objects, in pages."""
    key = RELATIONS[relation]
    cursor.execute(f"DECLARE all_rows CURSOR FOR SELECT to_jsonb(r)::text FROM {relation} r ORDER BY {key}")  # noqa: S608
    while True:
        cursor.execute(f"FETCH {_PAGE} FROM all_rows")
        page = [json.loads(row) for (row,) in cursor.fetchall()]
        if not page:
            cursor.execute("CLOSE all_rows")
            return
        yield page


def next_place(cursor: Cursor) -> int:
    """Return the place in the tree that the next person is given."""
    cursor.execute("SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM person_place")
    return int(cursor.fetchone()[0])


def insert_rows(cursor: Cursor, relation: str, rows: Sequence[str]) -> None:
    """Put rows, each a JSON object, back into a table of keys; its triggers check them."""
    if relation not in RELATIONS:
        raise ValueError("not a table of keys")
    statement = f"INSERT INTO {relation} SELECT * FROM jsonb_populate_recordset(NULL::{relation}, %s::jsonb)"  # noqa: S608
    cursor.execute(statement, (f"[{','.join(rows)}]",))


def go_on_from(cursor: Cursor, mark: Mark, last_seq: int, next_place: int) -> None:
    """Make a cluster whose rows were put back go on where the log ends: what waits here is in the log."""
    cursor.execute("DELETE FROM key_change")
    set_mark(cursor, mark)
    cursor.execute("SELECT setval(pg_get_serial_sequence('key_change', 'seq'), %s)", (last_seq + _SEQS_SKIPPED,))
    cursor.execute("SELECT setval('person_place', %s, false)", (next_place,))


def _mark(cursor: Cursor) -> Mark | None:
    row = cursor.fetchone()
    return Mark(row[0], row[1], bytes(row[2])) if row else None


def _changes(cursor: Cursor) -> list[Change]:
    changes = (Change(seq, relation, gone, json.loads(rows)) for seq, relation, gone, rows in cursor.fetchall())
    return sorted(changes, key=lambda change: change.seq)
