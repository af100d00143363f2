"""SQL of destructions: locking what a rotation changes, and the records that stay for ever.

Every function takes an open cursor; driver errors pass through.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from vault import tree_rows
from vault.destruction_request import DestructionRequest
from vault.nodes import Node
from vault.tree_rows import Root

_LOCK = 0x636B6479


@dataclass(frozen=True)
class DestructionRecord:
    """A certificate's part in a rotation: its epochs, and when it was finished (``None``: not yet).

    Certificates destroyed together share the epochs; the nodes that the rotation changed stand with the first of them.
    """

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


def insert_destructions(
    cursor: Cursor, requests: Sequence[DestructionRequest], epochs: tuple[int, int], changed: Collection[Node]
) -> None:
    """Record a rotation as under way, with every certificate it is for."""
    rest: list[UUID] = []
    execute_values(
        cursor,
        "INSERT INTO destruction (certificate_id, requested_at, epoch_before, epoch_after, changed) VALUES %s",
        [
            (request.certificate_id, request.at, *epochs, rest if number else [node.node_id for node in changed])
            for number, request in enumerate(requests)
        ],
        template="(%s, %s, %s, %s, %s::uuid[])",
    )


def insert_destroyed(
    cursor: Cursor, request: DestructionRequest, people: Collection[UUID], scopes: Mapping[UUID, bytes]
) -> None:
    """Record what is destroyed under one certificate: people, and scopes with the fingerprints of their keys."""
    execute_values(
        cursor,
        "INSERT INTO destroyed_person (subject_id, certificate_id, destroyed_at) VALUES %s",
        [(subject_id, request.certificate_id, request.at) for subject_id in people],
    )
    execute_values(
        cursor,
        "INSERT INTO destroyed_scope (scope_id, certificate_id, destroyed_at, fingerprint) VALUES %s",
        [(scope_id, request.certificate_id, request.at, fingerprint) for scope_id, fingerprint in scopes.items()],
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


def certificates_used(cursor: Cursor, certificate_ids: Collection[UUID]) -> set[UUID]:
    """Return under which of these certificates something was destroyed before."""
    cursor.execute("SELECT certificate_id FROM destruction WHERE certificate_id = ANY (%s)", (list(certificate_ids),))
    return {certificate_id for (certificate_id,) in cursor.fetchall()}


def unfinished(cursor: Cursor) -> list[DestructionRecord]:
    """Return the destructions of a rotation that is committed and whose old root key may still be there."""
    cursor.execute(
        """
        SELECT certificate_id, epoch_before, epoch_after, changed, finished_at
        FROM destruction WHERE finished_at IS NULL ORDER BY epoch_after
        """
    )
    return [DestructionRecord(*row) for row in cursor.fetchall()]


def finish(cursor: Cursor, certificate_ids: Collection[UUID]) -> None:
    """Record that the old root key is gone, as of now: the same moment for all of them."""
    cursor.execute(
        """
        UPDATE destruction SET finished_at = statement_timestamp()
        WHERE certificate_id = ANY (%s) AND finished_at IS NULL
        """,
        (list(certificate_ids),),
    )


def destroyed_scopes(cursor: Cursor, certificate_id: UUID) -> list[tuple[UUID, bytes]]:
    """Return the scopes destroyed under a certificate with their keys' fingerprints, in the order of their ids."""
    cursor.execute(
        "SELECT scope_id, fingerprint FROM destroyed_scope WHERE certificate_id = %s ORDER BY scope_id",
        (certificate_id,),
    )
    return [(scope_id, bytes(fingerprint)) for scope_id, fingerprint in cursor.fetchall()]


def left_over(cursor: Cursor, certificate_ids: Collection[UUID]) -> int:
    """Return how many keys destroyed under these certificates still have a row."""
    cursor.execute(
        """
        SELECT count(*) FROM key_node n
        WHERE n.node_id IN (SELECT scope_id FROM destroyed_scope WHERE certificate_id = ANY (%(ids)s)
                            UNION ALL SELECT subject_id FROM destroyed_person WHERE certificate_id = ANY (%(ids)s))
        """,
        {"ids": list(certificate_ids)},
    )
    return int(cursor.fetchone()[0])


def destroyed_and_there(cursor: Cursor) -> int:
    """Return how many keys have a row although their destruction is on record, under whichever certificate."""
    cursor.execute(
        """
        SELECT count(*) FROM key_node n
        WHERE n.node_id IN (SELECT scope_id FROM destroyed_scope UNION ALL SELECT subject_id FROM destroyed_person)
        """
    )
    return int(cursor.fetchone()[0])
