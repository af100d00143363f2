"""Changes to a view's rows, grouped so that a batch of events takes few statements.

New rows go in by COPY. A statement takes one parameter: a JSON array of objects, spread with
``jsonb_populate_recordset(NULL::table, %s)``, so the table itself says how values are typed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.copying import copy_rows


@dataclass(frozen=True, eq=False)
class Statement:
    """A change of rows; equal to no other.

    ``sql`` is empty where rows are merely added. ``sets`` names the columns it takes over as given, ``None`` meaning
    all, for a new row. A ``plain`` one does nothing else, so that it can become part of the change before it on the
    same row.
    """

    table: str
    sql: str
    sets: frozenset[str] | None = frozenset()
    plain: bool = False

    def absorbs(self, later: Statement) -> bool:
        """Return whether a later change of the same row comes to the same when made part of this one."""
        if self.table != later.table or later.sets is None or not later.plain:
            return False
        return self.sets is None or later.sets <= self.sets


@cache
def insert(table: str) -> Statement:
    """Return the statement that adds whole rows to a table; names come out of our own code only."""
    return Statement(table, "", None)


@cache
def update(table: str, key: str, *columns: str) -> Statement:
    """Return the statement that sets columns of the rows found by ``key``; names come out of our own code only."""
    changes = ", ".join(f"{column} = changed.{column}" for column in columns)
    sql = (
        f"UPDATE {table} AS kept SET {changes} FROM jsonb_populate_recordset(NULL::{table}, %s) AS changed "  # noqa: S608
        f"WHERE kept.{key} = changed.{key}"
    )
    return Statement(table, sql, frozenset(columns), plain=True)


class Writes:
    """Collects changes and sends them when told to.

    Changes of one ``key`` are sent in the order they were added; changes of different keys commute, so those with the
    same statement go together. No statement meets a key twice. A change that the one before it on the same key can
    absorb becomes part of it.
    """

    def __init__(self, cursor: Cursor, tombstones: dict[str, Any]) -> None:
        self._cursor = cursor
        self._tombstones = tombstones
        self._rounds: list[dict[Statement, list[dict[str, Any]]]] = []
        self._last: dict[Any, tuple[int, Statement, dict[str, Any]]] = {}

    def add(self, statement: Statement, key: object, row: dict[str, Any]) -> None:
        """Add a change of the row or rows that ``key`` stands for; values as JSON, ids, or times."""
        number = 0
        if last := self._last.get(key):
            number, earlier, values = last
            if earlier.absorbs(statement):
                values.update(row)
                return
            number += 1
        self._last[key] = number, statement, row
        if number == len(self._rounds):
            self._rounds.append({})
        self._rounds[number].setdefault(statement, []).append(row)

    def flush(self) -> None:
        """Send all changes added so far."""
        for round_ in self._rounds:
            for statement, rows in round_.items():
                if statement.sql:
                    self._cursor.execute(statement.sql, (json.dumps(rows, default=str),))
                else:
                    copy_rows(self._cursor, statement.table, rows)
        self._rounds.clear()
        self._last.clear()

    def sealed(self, record: Record, field: str) -> Mapping[str, Any] | None:
        """Return what a sealed column keeps of a field: the value, its tombstone if it was purged, or ``None``."""
        part = record.sealed_json(field)
        if part is None:
            return None
        for erased in (part["scope_id"], part["subject_id"]):
            if erased in self._tombstones:
                return self._tombstones[erased]
        return part

    def purged(self, id_: str) -> bool:
        """Return whether a key scope or a whole person, named in a sealed part of the batch, was purged before."""
        return id_ in self._tombstones

    def erased(self, tombstones: Mapping[str, Any]) -> None:
        """From here on, store these tombstones (by key scope or person) where a sealed value would go."""
        for erased, tombstone in tombstones.items():
            self._tombstones.setdefault(erased, tombstone)
