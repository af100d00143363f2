"""The key tree at work: opens the keys of scopes, makes new ones, and grows.

A person's node hangs below its place's ancestors; when all places below the top are taken, a new top is put above the
old one, so depth follows the population and no node ever changes its ancestors but by getting more of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from psycopg2.extensions import cursor as Cursor

from domain.errors import Fenced, KeysUnavailable, Tampered
from domain.sealed import Erased, KeyScope
from vault import tree_rows
from vault.connections import Connections
from vault.keyring import KeyMissing, Keyring, RootRef, lacks
from vault.nodes import DATA, INNER, PERSON, Node, OpenedTree, lineage, new_node, wrapped_node
from vault.primitives import SecretKey
from vault.tree_rows import ScopeRecord

_ATTEMPTS = 10


@dataclass(frozen=True)
class ScopeKey:
    """A live data key and the scope it covers."""

    scope_id: UUID
    scope: KeyScope
    key: SecretKey


@dataclass(frozen=True)
class ErasedScope:
    """A scope whose key was destroyed, or recalled to be destroyed."""

    scope: KeyScope
    erased: Erased


Lookup = ScopeKey | ErasedScope | Tampered
"""What became of a scope that once existed; ``Tampered`` is why its key does not open."""


class _LookAgainError(Exception):
    """Another transaction was first: roll back and read what it made."""


class _TreeFullError(Exception):
    """All places below the top are taken."""


class KeyTree:
    """Reads and adds keys. Every method may raise ``KeysUnavailable``, ``KeyringMismatch`` or ``Tampered``."""

    def __init__(self, connections: Connections, keyring: Keyring) -> None:
        self._connections = connections
        self._keyring = keyring

    def load(self, scope_ids: Collection[UUID]) -> dict[UUID, Lookup]:
        """Return, for each scope that ever existed, its key, its tombstone, or why its key does not open.

        The rows of a path are one snapshot, so versions in it never disagree but by tampering. A root key that is gone
        by the time it is asked for is another matter: a rotation has passed, and the path is read again.
        """
        for _ in range(_ATTEMPTS):
            nodes = self._connections.read(lambda cursor: tree_rows.paths(cursor, scope_ids))
            scopes = self._connections.read(lambda cursor: tree_rows.scopes_by_id(cursor, scope_ids))
            try:
                return self._open(nodes, scopes)
            except KeyMissing:
                self._explain_missing_root(nodes, scope_ids)
        raise KeysUnavailable("keys kept changing while they were read")

    def provision(self, scope: KeyScope) -> UUID:
        """Return the id of a scope, its keys made if missing. Raises ``Fenced`` if destroyed."""
        full = False
        for _ in range(_ATTEMPTS):
            known = self._connections.read(lambda cursor: tree_rows.find_scope(cursor, scope))
            if known is not None:
                return _unless_destroyed(known)
            try:
                if full:
                    self._connections.write(self._grow)
                return self._connections.write(lambda cursor: self._provision(cursor, scope))
            except _TreeFullError:
                full = True
            except KeyMissing:
                self.check_root()
            except _LookAgainError:
                continue
        raise KeysUnavailable("keys kept changing while one was made")

    def check_root(self) -> None:
        """Return if the root key in force can be read."""
        refs: list[RootRef] = []
        while len(refs) < _ATTEMPTS:
            refs.append(self._connections.read(tree_rows.read_root).ref)
            try:
                self._keyring.load_root(refs[-1])
            except KeyMissing:
                if refs[-1] in refs[:-1]:
                    raise lacks(self._keyring, refs[-1]) from None
            else:
                return
        raise KeysUnavailable("the root key kept changing")

    def _open(self, nodes: list[Node], scopes: Mapping[UUID, ScopeRecord]) -> dict[UUID, Lookup]:
        tree = OpenedTree(nodes, {i: record.scope for i, record in scopes.items()}, self._keyring.load_root)
        found: dict[UUID, Lookup] = {}
        for scope_id, record in scopes.items():
            if gone := record.erased or record.recalled:
                found[scope_id] = ErasedScope(record.scope, gone)
                continue
            try:
                found[scope_id] = ScopeKey(scope_id, record.scope, tree.key(scope_id))
            except Tampered as problem:
                found[scope_id] = problem
        return found

    def _explain_missing_root(self, nodes: list[Node], scope_ids: Collection[UUID]) -> None:
        """Raise for a root key that the keyring lacks while rows hang from it; return if a rotation explains it.

        The root in force is read after the keyring was asked and before the rows are read again, so neither verdict
        can come from a rotation in between.
        """
        root = self._connections.read(tree_rows.read_root)
        hanging = _roots_of(nodes)
        if hanging == {root.ref}:
            raise lacks(self._keyring, root.ref)
        again = _roots_of(self._connections.read(lambda cursor: tree_rows.paths(cursor, scope_ids)))
        if (hanging & again) - {root.ref}:
            raise Tampered("a key hangs from a root key that is not in force")

    def _provision(self, cursor: Cursor, scope: KeyScope) -> UUID:
        person = scope.subject_id
        if not (tree_rows.lock_person(cursor, person) or self._add_person(cursor, person)):
            raise _LookAgainError
        scope_id = uuid4()
        if not tree_rows.insert_scope(cursor, scope_id, scope):
            raise _LookAgainError
        tree = OpenedTree(tree_rows.paths(cursor, [person]), {}, self._keyring.load_root)
        node = new_node(scope_id, DATA, tree.nodes[person])
        if not tree_rows.insert_nodes(cursor, [wrapped_node(node, SecretKey.new(), tree.key(person), scope)]):
            raise _LookAgainError
        return scope_id

    def _add_person(self, cursor: Cursor, subject_id: UUID) -> bool:
        """Add a person's node and the inner nodes above it that are missing; return ``False`` if another was first."""
        root = tree_rows.share_root(cursor)
        if tree_rows.destroyed_people(cursor, [subject_id]):
            raise Fenced([subject_id])
        place = tree_rows.next_place(cursor)
        if place >= root.fanout**root.top_level:
            raise _TreeFullError
        above = lineage(place, root.fanout, root.top_level)
        known = tree_rows.nodes_at(cursor, above)
        parent = known[above[0]]
        for level, at in above[1:]:
            if (level, at) not in known:
                self._add_below(cursor, known, new_node(uuid4(), INNER, parent, level=level, place=at))
                known.update(tree_rows.nodes_at(cursor, [(level, at)]))
            parent = known[level, at]
        return self._add_below(cursor, known, new_node(subject_id, PERSON, parent, level=0, place=place))

    def _add_below(self, cursor: Cursor, known: Mapping[tuple[int, int], Node], node: Node) -> bool:
        tree = OpenedTree(known.values(), {}, self._keyring.load_root)
        return tree_rows.insert_nodes(cursor, [wrapped_node(node, SecretKey.new(), tree.key(node.parent_id))]) == 1

    def _grow(self, cursor: Cursor) -> None:
        """Put a new top above the old one, unless another just did."""
        root = tree_rows.take_root(cursor)
        if tree_rows.last_place(cursor) < root.fanout**root.top_level:
            return
        top = tree_rows.nodes_at(cursor, [(root.top_level, 0)])[root.top_level, 0]
        tree = OpenedTree([top], {}, self._keyring.load_root)
        key = SecretKey.new()
        above = new_node(uuid4(), INNER, root.ref, level=root.top_level + 1, place=0)
        moved = replace(top, parent_id=above.node_id, parent_version=above.version)
        tree_rows.set_top_level(cursor, root.top_level + 1)
        tree_rows.insert_nodes(cursor, [wrapped_node(above, key, self._keyring.load_root(root.ref))])
        tree_rows.update_nodes(cursor, [wrapped_node(moved, tree.key(top.node_id), key)])


def _roots_of(nodes: Collection[Node]) -> set[RootRef]:
    known = {node.node_id for node in nodes}
    return {node.root for node in nodes if node.kind == INNER and node.parent_id not in known}


def _unless_destroyed(record: ScopeRecord) -> UUID:
    if record.erased:
        raise Fenced([record.scope_id])
    return record.scope_id
