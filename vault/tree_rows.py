"""SQL of the key tree: reading paths and scopes, adding nodes. Every function takes an open cursor.

Driver errors pass through; ``vault.connections`` maps them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from domain.errors import KeysUnavailable
from domain.sealed import Erased, KeyScope
from vault.keyring import RootRef
from vault.nodes import Node

_TURNSTILE = 0x636B7475
"""Whoever locks the root passes here first: row locks alone would let a stream of new people starve a rotation."""


_SECRETS = 0x636B7365
"""Whoever makes or destroys a secret in a device passes here: the device itself cannot make it "if there is none"."""


@dataclass(frozen=True)
class Installation:
    """Whose keys these are, in which format, and the root key in force (``None`` before there is one)."""

    installation_id: UUID
    format: int
    ref: RootRef | None


@dataclass(frozen=True)
class Root:
    """The root key in force and the shape of the tree below it."""

    ref: RootRef
    fanout: int
    top_level: int


@dataclass(frozen=True)
class ScopeRecord:
    """A key scope that was once provisioned, and its tombstone if it was destroyed.

    ``recalled`` is the tombstone that it is about to have; only :func:`scopes_by_id` looks for it.
    """

    scope_id: UUID
    scope: KeyScope
    erased: Erased | None
    recalled: Erased | None = None


def lock_secrets(cursor: Cursor) -> None:
    """Wait until no other session makes or destroys a secret, and keep others waiting until this session ends."""
    cursor.execute("SELECT pg_advisory_lock(%s)", (_SECRETS,))


def take_installation(cursor: Cursor) -> None:
    """Lock the root row, planted or not (FOR UPDATE): then read it, in a statement of its own."""
    cursor.execute("SELECT FROM key_root FOR UPDATE")


def read_installation(cursor: Cursor) -> Installation | None:
    """Return whose keys these are, or ``None`` before the first start."""
    cursor.execute("SELECT installation_id, format, epoch, key_id FROM key_root")
    row = cursor.fetchone()
    if row is None:
        return None
    installation_id, form, epoch, key_id = row
    return Installation(installation_id, form, RootRef(epoch, key_id) if key_id else None)


def insert_installation(cursor: Cursor, installation_id: UUID, form: int, fanout: int) -> None:
    """Record whose keys these are, unless that is known."""
    cursor.execute(
        "INSERT INTO key_root (installation_id, format, fanout) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (installation_id, form, fanout),
    )


def read_root(cursor: Cursor) -> Root:
    """Return the root key in force. Raises ``KeysUnavailable`` when there is none yet."""
    cursor.execute("SELECT epoch, key_id, fanout, top_level FROM key_root WHERE epoch > 0")
    return _root(cursor)


def share_root(cursor: Cursor) -> Root:
    """Return the root key in force, its row locked against rotation and growth (FOR SHARE)."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_TURNSTILE,))
    cursor.execute("SELECT epoch, key_id, fanout, top_level FROM key_root WHERE epoch > 0 FOR SHARE")
    return _root(cursor)


def take_root(cursor: Cursor) -> Root:
    """Return the root key in force, its row locked for rotation or growth (FOR UPDATE)."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_TURNSTILE,))
    cursor.execute("SELECT epoch, key_id, fanout, top_level FROM key_root WHERE epoch > 0 FOR UPDATE")
    return _root(cursor)


def set_root(cursor: Cursor, ref: RootRef) -> None:
    """Put another root key in force; at commit the top of the tree must be wrapped under it."""
    cursor.execute("UPDATE key_root SET epoch = %s, key_id = %s", (ref.epoch, ref.key_id))


def set_top_level(cursor: Cursor, level: int) -> None:
    """Make the tree higher: its top is at this level from now on."""
    cursor.execute("UPDATE key_root SET top_level = %s", (level,))


def paths(cursor: Cursor, node_ids: Collection[UUID]) -> list[Node]:
    """Return nodes with all their ancestors, as one snapshot; a data key that equals a destroyed one is left out."""
    cursor.execute(
        """
        WITH RECURSIVE path AS (
            SELECT n.* FROM key_node n WHERE n.node_id = ANY (%s)
            UNION
            SELECT p.* FROM path c JOIN key_node p ON p.node_id = c.parent_id
        )
        SELECT node_id, kind, level, place, version, parent_id, parent_version, wrapped, fingerprint
        FROM path
        WHERE kind <> 'data' OR NOT EXISTS (SELECT FROM destroyed_scope d WHERE d.fingerprint = path.fingerprint)
        """,
        (list(node_ids),),
    )
    return [_node(row) for row in cursor.fetchall()]


def nodes_and_children(cursor: Cursor, node_ids: Collection[UUID]) -> list[Node]:
    """Return nodes and all their children, as one snapshot."""
    cursor.execute(
        """
        SELECT node_id, kind, level, place, version, parent_id, parent_version, wrapped, fingerprint
        FROM key_node WHERE node_id = ANY (%(ids)s) OR parent_id = ANY (%(ids)s)
        """,
        {"ids": list(node_ids)},
    )
    return [_node(row) for row in cursor.fetchall()]


def nodes_at(cursor: Cursor, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Node]:
    """Return the nodes there are at (level, place), as one snapshot."""
    cursor.execute(
        """
        SELECT node_id, kind, level, place, version, parent_id, parent_version, wrapped, fingerprint
        FROM key_node WHERE (level, place) IN %s
        """,
        (tuple(places),),
    )
    return {(node.level or 0, node.place or 0): node for node in map(_node, cursor.fetchall())}


def lock_person(cursor: Cursor, subject_id: UUID) -> bool:
    """Lock a person's node against rotation (FOR SHARE); return whether there is one."""
    cursor.execute("SELECT FROM key_node WHERE node_id = %s AND kind = 'person' FOR SHARE", (subject_id,))
    return int(cursor.rowcount) == 1


def next_place(cursor: Cursor) -> int:
    """Return a place in the tree that nobody else is given."""
    cursor.execute("SELECT nextval('person_place')")
    return int(cursor.fetchone()[0])


def last_place(cursor: Cursor) -> int:
    """Return the highest place given so far, or 0."""
    cursor.execute("SELECT last_value FROM person_place")
    return int(cursor.fetchone()[0])


def insert_nodes(cursor: Cursor, nodes: Iterable[Node]) -> int:
    """Add nodes, but none whose id or place is taken; return how many were added."""
    execute_values(
        cursor,
        """
        INSERT INTO key_node (node_id, kind, level, place, version, parent_id, parent_version, wrapped, fingerprint)
        VALUES %s ON CONFLICT DO NOTHING
        """,
        [tuple(vars(node).values()) for node in nodes],
    )
    return int(cursor.rowcount)


def update_nodes(cursor: Cursor, nodes: Collection[Node]) -> int:
    """Replace the keys, versions and parents of nodes, all in one statement; return how many there were."""
    columns = [
        [node.node_id for node in nodes],
        [node.version for node in nodes],
        [node.parent_id for node in nodes],
        [node.parent_version for node in nodes],
        [node.wrapped for node in nodes],
        [node.fingerprint for node in nodes],
    ]
    cursor.execute(
        """
        UPDATE key_node AS n
        SET version = c.version, parent_id = c.parent_id, parent_version = c.parent_version,
            wrapped = c.wrapped, fingerprint = c.fingerprint
        FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bigint[], %s::bytea[], %s::bytea[])
            AS c (node_id, version, parent_id, parent_version, wrapped, fingerprint)
        WHERE n.node_id = c.node_id
        """,
        columns,
    )
    return int(cursor.rowcount)


def insert_scope(cursor: Cursor, scope_id: UUID, scope: KeyScope) -> bool:
    """Add a scope; return ``False`` when another made it first."""
    cursor.execute(
        """
        INSERT INTO key_scope (scope_id, subject_id, category, case_id, engagement)
        VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (scope_id, scope.subject_id, scope.category, scope.case_id, scope.engagement),
    )
    return int(cursor.rowcount) == 1


def find_scope(cursor: Cursor, scope: KeyScope) -> ScopeRecord | None:
    """Return the record of exactly this scope."""
    cursor.execute(
        """
        SELECT s.scope_id, s.subject_id, s.category, s.case_id, s.engagement, d.destroyed_at, d.certificate_id
        FROM key_scope s LEFT JOIN destroyed_scope d USING (scope_id)
        WHERE s.subject_id = %s AND s.category = %s AND s.case_id IS NOT DISTINCT FROM %s AND s.engagement = %s
        """,
        (scope.subject_id, scope.category, scope.case_id, scope.engagement),
    )
    row = cursor.fetchone()
    return _scope(row) if row else None


def scopes_by_id(cursor: Cursor, scope_ids: Collection[UUID]) -> dict[UUID, ScopeRecord]:
    """Return the records there are among these ids."""
    cursor.execute(
        """
        SELECT s.scope_id, s.subject_id, s.category, s.case_id, s.engagement, d.destroyed_at, d.certificate_id,
               r.fenced_at, r.certificate_id
        FROM key_scope s LEFT JOIN destroyed_scope d USING (scope_id) LEFT JOIN recalled_scope r USING (scope_id)
        WHERE s.scope_id = ANY (%s)
        """,
        (list(scope_ids),),
    )
    return {row[0]: _scope(row) for row in cursor.fetchall()}


def scopes_of(cursor: Cursor, subject_ids: Collection[UUID]) -> list[ScopeRecord]:
    """Return all scopes these people ever had, in the order of their ids."""
    cursor.execute(
        """
        SELECT s.scope_id, s.subject_id, s.category, s.case_id, s.engagement, d.destroyed_at, d.certificate_id
        FROM key_scope s LEFT JOIN destroyed_scope d USING (scope_id)
        WHERE s.subject_id = ANY (%s) ORDER BY s.scope_id
        """,
        (list(subject_ids),),
    )
    return [_scope(row) for row in cursor.fetchall()]


def destroyed_people(cursor: Cursor, subject_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these people were destroyed whole."""
    cursor.execute("SELECT subject_id FROM destroyed_person WHERE subject_id = ANY (%s)", (list(subject_ids),))
    return {row[0] for row in cursor.fetchall()}


def count_nodes(cursor: Cursor) -> int:
    """Return how many keys there are."""
    cursor.execute("SELECT count(*) FROM key_node")
    return int(cursor.fetchone()[0])


def count_destroyed(cursor: Cursor) -> int:
    """Return how many scopes and people were destroyed."""
    cursor.execute("SELECT (SELECT count(*) FROM destroyed_scope) + (SELECT count(*) FROM destroyed_person)")
    return int(cursor.fetchone()[0])


def node_ids_after(cursor: Cursor, after: UUID, limit: int) -> list[UUID]:
    """Return at most ``limit`` ids of keys, in order, behind one of them."""
    cursor.execute("SELECT node_id FROM key_node WHERE node_id > %s ORDER BY node_id LIMIT %s", (after, limit))
    return [row[0] for row in cursor.fetchall()]


def scopes_without_key(cursor: Cursor) -> list[UUID]:
    """Return the scopes that have neither a key nor a record of its destruction."""
    cursor.execute(
        """
        SELECT s.scope_id FROM key_scope s
        WHERE NOT EXISTS (SELECT FROM key_node n WHERE n.node_id = s.scope_id)
          AND NOT EXISTS (SELECT FROM destroyed_scope d WHERE d.scope_id = s.scope_id)
        """
    )
    return [row[0] for row in cursor.fetchall()]


def live_among(cursor: Cursor, node_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return which of these people and scopes have a key and no record of its destruction, each with its person."""
    cursor.execute(
        """
        SELECT n.node_id, CASE n.kind WHEN 'person' THEN n.node_id ELSE n.parent_id END FROM key_node n
        WHERE n.node_id = ANY (%s) AND n.kind IN ('person', 'data')
          AND NOT EXISTS (SELECT FROM destroyed_scope d WHERE d.scope_id = n.node_id)
          AND NOT EXISTS (SELECT FROM destroyed_person d WHERE d.subject_id = n.node_id)
        """,
        (list(node_ids),),
    )
    return dict(cursor.fetchall())


def _root(cursor: Cursor) -> Root:
    row = cursor.fetchone()
    if row is None:
        raise KeysUnavailable("the key tree was never planted")
    epoch, key_id, fanout, top_level = row
    return Root(RootRef(epoch, key_id), fanout, top_level)


def _node(row: tuple[Any, ...]) -> Node:
    node_id, kind, level, place, version, parent_id, parent_version, wrapped, fingerprint = row
    return Node(node_id, kind, level, place, version, parent_id, parent_version, bytes(wrapped), bytes(fingerprint))


def _scope(row: tuple[Any, ...]) -> ScopeRecord:
    scope_id, subject_id, category, case_id, engagement, *tombstones = row
    pairs = zip(tombstones[::2], tombstones[1::2], strict=True)
    found = [Erased(scope_id, at, certificate) if certificate is not None else None for at, certificate in pairs]
    return ScopeRecord(scope_id, KeyScope(subject_id, category, case_id, engagement), *found)
