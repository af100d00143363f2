"""SQL of destructions: locking what a rotation changes, and the records that stay for ever.

Every function takes an open cursor; driver errors pass through.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from vault import tree_rows
from vault.nodes import Node
from vault.tree_rows import Root

_LOCK = 0x636B6479


@dataclass(frozen=True)
class DestructionRecord:
    """One rotation: its certificate, its epochs, the nodes it changed, and when it was finished (``None``: not yet)."""

    certificate_id: UUID
    epoch_before: int
    epoch_after: int
    changed: list[UUID]
    finished_at: datetime | None


def lock_destructions(cursor: Cursor) -> bool:
    """Wait until no other session destroys keys, keep others from it until this session ends, and return ``True``."""
    cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    return True


def try_lock_destructions(cursor: Cursor) -> bool:
    """Like :func:`lock_destructions`, but return ``False`` at once when another session has the lock."""
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
    return bool(cursor.fetchone()[0])


def lock_nodes(cursor: Cursor, root: Root, person_ids: Collection[UUID]) -> list[Node]:
    """Return these people's nodes, all their ancestors, the top, and the children of all of those.

    The people and the ancestors are locked against new children (FOR UPDATE), from the top down.
    """
    top = tree_rows.nodes_at(cursor, [(root.top_level, 0)])
    path = {node.node_id for node in [*top.values(), *tree_rows.paths(cursor, person_ids)]}
    cursor.execute(
        "SELECT FROM key_node WHERE node_id = ANY (%s) ORDER BY level DESC, node_id FOR UPDATE", (list(path),)
    )
    return tree_rows.nodes_and_children(cursor, path)


def insert_destruction(
    cursor: Cursor,
    certificate_id: UUID,
    at: datetime,
    epochs: tuple[int, int],
    changed: Collection[Node],
) -> None:
    """Record a rotation as under way."""
    cursor.execute(
        """
        INSERT INTO destruction (certificate_id, requested_at, epoch_before, epoch_after, changed)
        VALUES (%s, %s, %s, %s, %s::uuid[])
        """,
        (certificate_id, at, *epochs, [node.node_id for node in changed]),
    )


def insert_destroyed(
    cursor: Cursor, certificate_id: UUID, at: datetime, people: Collection[UUID], scopes: Mapping[UUID, bytes]
) -> None:
    """Record people destroyed whole, and scopes with the fingerprints of their keys."""
    execute_values(
        cursor,
        "INSERT INTO destroyed_person (subject_id, certificate_id, destroyed_at) VALUES %s",
        [(subject_id, certificate_id, at) for subject_id in people],
    )
    execute_values(
        cursor,
        "INSERT INTO destroyed_scope (scope_id, certificate_id, destroyed_at, fingerprint) VALUES %s",
        [(scope_id, certificate_id, at, fingerprint) for scope_id, fingerprint in scopes.items()],
    )


def delete_nodes(cursor: Cursor, node_ids: Collection[UUID]) -> None:
    """Delete nodes; their destruction must be on record."""
    cursor.execute("DELETE FROM key_node WHERE node_id = ANY (%s)", (list(node_ids),))


def find_destruction(cursor: Cursor, certificate_id: UUID) -> DestructionRecord | None:
    """Return what was destroyed under a certificate, if anything was."""
    cursor.execute(
        """
        SELECT certificate_id, epoch_before, epoch_after, changed, finished_at
        FROM destruction WHERE certificate_id = %s
        """,
        (certificate_id,),
    )
    row = cursor.fetchone()
    return DestructionRecord(*row) if row else None


def unfinished(cursor: Cursor) -> list[DestructionRecord]:
    """Return the rotations that are committed and whose old root key may still be there."""
    cursor.execute(
        """
        SELECT certificate_id, epoch_before, epoch_after, changed, finished_at
        FROM destruction WHERE finished_at IS NULL ORDER BY epoch_after
        """
    )
    return [DestructionRecord(*row) for row in cursor.fetchall()]


def finish(cursor: Cursor, certificate_id: UUID) -> None:
    """Record that the old root key is gone, as of now."""
    cursor.execute(
        "UPDATE destruction SET finished_at = clock_timestamp() WHERE certificate_id = %s AND finished_at IS NULL",
        (certificate_id,),
    )


def destroyed_scopes(cursor: Cursor, certificate_id: UUID) -> list[tuple[UUID, bytes]]:
    """Return the scopes destroyed under a certificate with their keys' fingerprints, in the order of their ids."""
    cursor.execute(
        "SELECT scope_id, fingerprint FROM destroyed_scope WHERE certificate_id = %s ORDER BY scope_id",
        (certificate_id,),
    )
    return [(scope_id, bytes(fingerprint)) for scope_id, fingerprint in cursor.fetchall()]


def left_over(cursor: Cursor, certificate_id: UUID) -> int:
    """Return how many keys destroyed under a certificate still have a row."""
    cursor.execute(
        """
        SELECT count(*) FROM key_node n
        WHERE n.node_id IN (SELECT scope_id FROM destroyed_scope WHERE certificate_id = %(id)s
                            UNION ALL SELECT subject_id FROM destroyed_person WHERE certificate_id = %(id)s)
        """,
        {"id": certificate_id},
    )
    return int(cursor.fetchone()[0])
