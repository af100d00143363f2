"""Gives every key above the data keys a new one, while everything goes on: ``casekeeper keys rotate --all``.

Data keys stay: another one would mean to seal all events anew, and events never change. What is renewed is what wraps
them: people's nodes first, then the inner nodes, level by level, upwards, a few nodes and all their children in one
transaction. At the end every key there is was opened, the root key is replaced, the top wrapped under the new one and
the old one destroyed, as at every destruction. From then on nothing that was ever written before opens anything: not
an old dump, not an old log, not an old page, whoever had copied a key of a node.

Where it stands is recorded in the same transaction as what it did, so it can go on there after a kill. Only where
asked: what it had renewed keeps the key it got then, which somebody may have read in memory since.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from psycopg2.extensions import cursor as Cursor

from domain.errors import Tampered
from vault import renewal_rows, tree_rows
from vault.connections import Connections
from vault.destruction_request import DestructionRequest
from vault.forgetting import Destruction, Forgetting
from vault.keyring import KeyMissing, Keyring, lacks
from vault.nodes import Node, OpenedTree, wrapped_node
from vault.primitives import SecretKey
from vault.verification import Verification

BATCH_RENEWED = "batch renewed"
ALL_OPENED = "all opened"
ROOT_REPLACED = "root replaced"
RENEWAL_RECORDED = "renewal recorded"
STEPS = (BATCH_RENEWED, ALL_OPENED, ROOT_REPLACED, RENEWAL_RECORDED)
"""The names of the steps, in order; the first comes once per batch."""

PEOPLE_AT_ONCE = 32
"""People whose nodes are renewed in one transaction; of inner nodes it is one."""


@dataclass(frozen=True)
class Renewed:
    """How many nodes got a new key, in all of its runs, the epoch of the root key in force, and the first run's begin.

    Nothing above the data keys has a key from before ``since``.
    """

    nodes: int
    epoch: int
    since: datetime


class Renewal:
    """Renews all keys above the data keys. ``after_step`` is called with the name of each step that was done."""

    def __init__(
        self,
        connections: Connections,
        keyring: Keyring,
        forgetting: Forgetting,
        log_changes: Callable[[], None],
        after_step: Callable[[str], None],
    ) -> None:
        self._connections = connections
        self._keyring = keyring
        self._forgetting = forgetting
        self._log_changes = log_changes
        self._after_step = after_step

    def run(self, at: datetime, moved: Callable[[int, int], None], *, go_on: bool) -> Renewed:
        """Renew all; ``moved`` is told how many nodes of about how many. ``go_on``: with what an earlier run left.

        Raises ``Tampered`` when a key does not open: then no root key was destroyed; ``KeysUnavailable``, also when
        another process begins it anew meanwhile; ``KeyringMismatch``.
        """
        renewal_id, since = self._connections.write(lambda cursor: _begun(cursor, at, go_on))
        all_ = self._connections.read(renewal_rows.count_above_data)
        while (done := self._batch(renewal_id)) is not None:
            self._log_changes()
            self._after_step(BATCH_RENEWED)
            moved(done, max(done, all_))
        opened = Verification(self._connections, self._keyring).keys_open()
        if not opened.ok:
            raise Tampered(f"no root key was destroyed: of all keys {opened.found}")
        self._after_step(ALL_OPENED)
        outcome = self._forgetting.destroy([DestructionRequest(renewal_id, at, frozenset(), frozenset())])[renewal_id]
        if not isinstance(outcome, Destruction):
            raise outcome
        self._after_step(ROOT_REPLACED)
        nodes = self._connections.write(lambda cursor: renewal_rows.finish(cursor, renewal_id))
        self._after_step(RENEWAL_RECORDED)
        return Renewed(nodes, outcome.root_epoch_after, since)

    def _batch(self, renewal_id: UUID) -> int | None:
        """Renew the next nodes; return how many were renewed so far, ``None`` when there is none left."""
        try:
            return self._connections.write(lambda cursor: self._renew_next(cursor, renewal_id))
        except KeyMissing:
            # Nobody replaces the root key while its row is held.
            raise lacks(self._keyring, self._connections.read(tree_rows.read_root).ref) from None

    def _renew_next(self, cursor: Cursor, renewal_id: UUID) -> int | None:
        standing = renewal_rows.take(cursor, renewal_id)
        root = tree_rows.share_root(cursor)
        level, place = standing.level, standing.place
        while level <= root.top_level:
            limit = 1 if level else PEOPLE_AT_ONCE
            if nodes := renewal_rows.take_nodes(cursor, level, place, limit):
                self._renew(cursor, nodes)
                place = max(node.place or 0 for node in nodes)
                renewal_rows.move(cursor, renewal_id, level, place, len(nodes))
                return standing.renewed + len(nodes)
            level, place = level + 1, -1
        return None

    def _renew(self, cursor: Cursor, nodes: Collection[Node]) -> None:
        ids = [node.node_id for node in nodes]
        rows = {node.node_id: node for node in tree_rows.paths(cursor, ids)}
        children = [node for node in tree_rows.nodes_and_children(cursor, ids) if node.node_id not in rows]
        scopes = {i: r.scope for i, r in tree_rows.scopes_by_id(cursor, [node.node_id for node in children]).items()}
        tree = OpenedTree([*rows.values(), *children], scopes, self._keyring.load_root)
        keys = {node_id: SecretKey.new() for node_id in ids}
        changed = [self._renewed(tree, rows[node_id], key) for node_id, key in keys.items()]
        for child in children:
            moved = replace(child, parent_version=rows[child.parent_id].version + 1)
            changed.append(
                wrapped_node(moved, tree.key(child.node_id), keys[child.parent_id], scopes.get(child.node_id))
            )
        if tree_rows.update_nodes(cursor, changed) != len(changed):
            raise Tampered("a key went missing while it was wrapped again")

    def _renewed(self, tree: OpenedTree, node: Node, key: SecretKey) -> Node:
        parent = tree.nodes.get(node.parent_id)
        wrapping = tree.key(parent.node_id) if parent is not None else self._keyring.load_root(node.root)
        tree.key(node.node_id)
        return wrapped_node(replace(node, version=node.version + 1), key, wrapping)


def _begun(cursor: Cursor, at: datetime, go_on: bool) -> tuple[UUID, datetime]:
    if go_on and (left := renewal_rows.under_way(cursor)):
        return left
    renewal_id = uuid4()
    renewal_rows.begin(cursor, renewal_id, at)
    return renewal_id, at
