"""SQL of a renewal of all keys: where it stands, and the nodes that are next.

Every function takes an open cursor; driver errors pass through.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.errors import KeysUnavailable
from vault import tree_rows
from vault.nodes import Node


@dataclass(frozen=True)
class Standing:
    """Up to which node a renewal has come: level 0 are people, then upwards; within a level in the order of places."""

    level: int
    place: int
    renewed: int


def begin(cursor: Cursor, renewal_id: UUID, at: datetime) -> None:
    """Record a renewal as under way, in the place of the one that is, if there is one: that one goes on no more."""
    cursor.execute("DELETE FROM key_renewal WHERE finished_at IS NULL")
    cursor.execute(
        "INSERT INTO key_renewal (renewal_id, started_at) VALUES (%s, %s) ON CONFLICT DO NOTHING", (renewal_id, at)
    )
    if not cursor.rowcount:
        raise KeysUnavailable("another process has just begun a renewal of all keys")


def under_way(cursor: Cursor) -> tuple[UUID, datetime] | None:
    """Return the id of the renewal that is under way and since when it is, ``None`` when there is none."""
    cursor.execute("SELECT renewal_id, started_at FROM key_renewal WHERE finished_at IS NULL")
    row = cursor.fetchone()
    return (UUID(str(row[0])), row[1]) if row else None


def take(cursor: Cursor, renewal_id: UUID) -> Standing:
    """Return where a renewal stands, its row locked: one process at a time goes on with it."""
    cursor.execute(
        "SELECT level, place, renewed FROM key_renewal WHERE renewal_id = %s AND finished_at IS NULL FOR UPDATE",
        (renewal_id,),
    )
    row = cursor.fetchone()
    if row is None:
        raise KeysUnavailable("another process has ended the renewal of all keys, or begun it anew")
    return Standing(*row)


def take_nodes(cursor: Cursor, level: int, place: int, limit: int) -> list[Node]:
    """Return the next nodes of a level behind a place, locked against new children (FOR UPDATE)."""
    cursor.execute(
        """
        SELECT node_id FROM key_node WHERE level = %s AND place > %s ORDER BY place LIMIT %s FOR UPDATE
        """,
        (level, place, limit),
    )
    ids = [row[0] for row in cursor.fetchall()]
    return [node for node in tree_rows.nodes_and_children(cursor, ids) if node.node_id in ids]


def move(cursor: Cursor, renewal_id: UUID, level: int, place: int, renewed: int) -> None:
    """Record how far a renewal has come, and how many more nodes got a new key."""
    cursor.execute(
        "UPDATE key_renewal SET level = %s, place = %s, renewed = renewed + %s WHERE renewal_id = %s",
        (level, place, renewed, renewal_id),
    )


def finish(cursor: Cursor, renewal_id: UUID) -> int:
    """Record a renewal's end and return how many nodes it renewed."""
    cursor.execute(
        "UPDATE key_renewal SET finished_at = coalesce(finished_at, clock_timestamp()) WHERE renewal_id = %s "
        "RETURNING renewed",
        (renewal_id,),
    )
    row = cursor.fetchone()
    if row is None:
        raise KeysUnavailable("another process has begun the renewal of all keys anew")
    return int(row[0])


def count_above_data(cursor: Cursor) -> int:
    """Return how many people's and inner nodes there are."""
    cursor.execute("SELECT count(*) FROM key_node WHERE kind <> 'data'")
    return int(cursor.fetchone()[0])
