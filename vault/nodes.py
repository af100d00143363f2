"""The nodes of the key tree as values, and how a set of them is opened from the root down.

A wrapped key is bound to its place: ``prefixed("casekeeper/wrap/1", kind, node id, version, parent id, parent version,
…)``, then level and place for inner nodes and category, case and engagement for data keys (their person is the
parent). Under the root key the parent id is the root key's id and the parent version its epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.errors import Tampered
from domain.sealed import KeyScope
from vault.keyring import RootRef, WrappingKey
from vault.primitives import SecretKey, prefixed, same

INNER = "inner"
PERSON = "person"
DATA = "data"
DEEPEST = 32
"""More levels than any population needs; a longer chain of parents is a circle."""


@dataclass(frozen=True)
class Node:
    """One row of the tree: where it stands, which version of its parent wraps it, and the wrapped key."""

    node_id: UUID
    kind: str
    level: int | None
    place: int | None
    version: int
    parent_id: UUID
    parent_version: int
    wrapped: bytes
    fingerprint: bytes

    @property
    def root(self) -> RootRef:
        """Return the root key this node is wrapped under, if its parent is no node."""
        return RootRef(self.parent_version, self.parent_id)

    def associated(self, scope: KeyScope | None = None) -> bytes:
        """Return the associated data of the wrapped key; a data key's ``scope`` belongs to it."""
        return prefixed(
            b"casekeeper/wrap/1",
            self.kind.encode(),
            self.node_id.bytes,
            _number(self.version),
            self.parent_id.bytes,
            _number(self.parent_version),
            *_context(self, scope),
        )


class OpenedTree:
    """Opens nodes from the root down, each once. Holds keys: keep it for as long as one call takes."""

    def __init__(
        self,
        nodes: Iterable[Node],
        scopes: Mapping[UUID, KeyScope],
        root_key: Callable[[RootRef], WrappingKey],
    ) -> None:
        self.nodes = {node.node_id: node for node in nodes}
        self.scopes = scopes
        self._root_key = root_key
        self._keys: dict[UUID, SecretKey] = {}
        self._roots: dict[RootRef, WrappingKey] = {}

    def key(self, node_id: UUID) -> SecretKey:
        """Return a node's key. Raises ``Tampered``, and what ``root_key`` raises."""
        chain = []
        while node_id not in self._keys and node_id in self.nodes:
            chain.append(self.nodes[node_id])
            if len(chain) > DEEPEST:
                raise Tampered("a key's parents lead round in a circle")
            node_id = chain[-1].parent_id
        for node in reversed(chain):
            self._keys[node.node_id] = self._unwrap(node)
        try:
            return self._keys[chain[0].node_id if chain else node_id]
        except KeyError:
            raise Tampered("a key has no row") from None

    def _unwrap(self, node: Node) -> SecretKey:
        parent = self.nodes.get(node.parent_id)
        if parent is None and node.kind != INNER:
            raise Tampered("a key has no parent")
        if parent is not None and parent.version != node.parent_version:
            raise Tampered("a key is wrapped under another version of its parent")
        wrapping: WrappingKey = self._keys[node.parent_id] if parent is not None else self._root(node.root)
        key = wrapping.unwrap(node.wrapped, node.associated(self.scopes.get(node.node_id)))
        if not same(key.fingerprint(), node.fingerprint):
            raise Tampered("a key is not the one its fingerprint names")
        return key

    def _root(self, ref: RootRef) -> WrappingKey:
        if ref not in self._roots:
            self._roots[ref] = self._root_key(ref)
        return self._roots[ref]


def wrapped_node(node: Node, key: SecretKey, parent_key: WrappingKey, scope: KeyScope | None = None) -> Node:
    """Return the node with its key wrapped under its parent's key, as the node's own fields say."""
    wrapped = parent_key.wrap(key, node.associated(scope))
    return Node(**{**vars(node), "wrapped": wrapped, "fingerprint": key.fingerprint()})


def new_node(
    node_id: UUID, kind: str, parent: Node | RootRef, *, level: int | None = None, place: int | None = None
) -> Node:
    """Return version 1 of a node below its parent, its key still to be wrapped."""
    parent_id, parent_version = (
        (parent.node_id, parent.version) if isinstance(parent, Node) else (parent.key_id, parent.epoch)
    )
    return Node(node_id, kind, level, place, 1, parent_id, parent_version, b"", b"")


def lineage(place: int, fanout: int, top_level: int) -> list[tuple[int, int]]:
    """Return (level, place) of every ancestor of a person's place, from the top down."""
    return [(level, place // fanout**level) for level in range(top_level, 0, -1)]


def _context(node: Node, scope: KeyScope | None) -> tuple[bytes, ...]:
    if node.kind == DATA:
        if scope is None or scope.subject_id != node.parent_id:
            raise Tampered("a data key is not of the person it stands under")
        case = scope.case_id.bytes if scope.case_id else b""
        return scope.category.encode(), case, _number(scope.engagement)
    if node.kind == INNER:
        return _number(node.level or 0), _number(node.place or 0)
    return ()


def _number(value: int) -> bytes:
    return str(value).encode()
