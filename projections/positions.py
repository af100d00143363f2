"""How far each view is in the log: one row per view, moved in the transaction that changes the view's rows."""

from __future__ import annotations

import re

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import PositionMoved
from projections import purges, view_health
from projections.base import Projection

CHANNEL = "casekeeper_views"
"""Notified on every commit that moves a view, with ``name position``."""

_LOCK = 0x6361736576
"""Advisory lock under which tables are made: "casev" in ASCII."""

_TABLE = """
CREATE TABLE IF NOT EXISTS view_positions (
    name text PRIMARY KEY,
    version integer NOT NULL,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    tables text[] NOT NULL
)
"""

_MOVE = """
WITH moved AS (
    UPDATE view_positions SET position = %(to)s, updated_at = now()
    WHERE name = %(name)s AND position = %(from)s AND version = coalesce(%(version)s, version)
    RETURNING 1
)
SELECT pg_notify(%(channel)s, %(message)s) FROM moved
"""


def prepare(connection: Connection, projection: Projection, *, rebuild: bool = False) -> int:
    """Return the position a projection has reached, after making its tables if need be; commits.

    Where its version is not that of the tables, or ``rebuild`` is asked for, its tables are dropped and made anew, and
    its position is 0. Raises psycopg2's errors.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        cursor.execute(_TABLE)
        cursor.execute(purges.TABLE)
        cursor.execute(view_health.TABLE)
        cursor.execute("SELECT version, position, tables FROM view_positions WHERE name = %s", (projection.name,))
        row = cursor.fetchone()
        if row and row[0] == projection.version and not rebuild:
            return int(row[1])
        _make_tables(cursor, projection, row[2] if row else [])
        return 0


def advance(cursor: Cursor, name: str, from_: int, to: int, *, version: int | None = None) -> None:
    """Move a view's position on, and wake those who wait for it once this transaction commits.

    Raises :class:`PositionMoved` unless the view is at ``from_`` (and of this ``version``, where given): somebody else
    runs it now, or it was rebuilt. The transaction must then be rolled back.
    """
    if to <= from_:
        raise ValueError(f"position {to} does not come after {from_}")
    values = {"name": name, "from": from_, "to": to, "version": version}
    cursor.execute(_MOVE, {**values, "channel": CHANNEL, "message": f"{name} {to}"})
    if cursor.rowcount != 1:
        raise PositionMoved(name, from_)


def hold(cursor: Cursor, name: str, position: int, version: int) -> None:
    """Keep a view at its position until this transaction ends. Raises :class:`PositionMoved` when it is not there."""
    cursor.execute(
        "SELECT FROM view_positions WHERE name = %s AND position = %s AND version = %s FOR UPDATE",
        (name, position, version),
    )
    if cursor.rowcount != 1:
        raise PositionMoved(name, position)


def positions(cursor: Cursor) -> dict[str, int]:
    """Return view → position for every view that was ever prepared."""
    cursor.execute("SELECT name, position FROM view_positions")
    return dict(cursor.fetchall())


def _make_tables(cursor: Cursor, projection: Projection, old: list[str]) -> None:
    for table in reversed(old):
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))
    cursor.execute(projection.tables)
    cursor.execute("DELETE FROM view_purges WHERE view = %s", (projection.name,))
    cursor.execute(
        "INSERT INTO view_positions (name, version, position, tables) VALUES (%s, %s, 0, %s) "
        "ON CONFLICT (name) DO UPDATE "
        "SET version = excluded.version, position = 0, updated_at = now(), tables = excluded.tables",
        (projection.name, projection.version, re.findall(r"CREATE TABLE (\w+)", projection.tables)),
    )
