"""Plans a rotation: which nodes get a new key, and which survivors are wrapped again. No database, no clock.

Every ancestor of what is removed gets a new key, and so does the root. Whatever bytes of the old rows remain anywhere
hang, through the old keys of those ancestors, from the old root key alone (Reardon, Basin and Čapkun, "On Secure Data
Deletion", key disclosure trees).
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from uuid import UUID

from vault.keyring import RootRef, WrappingKey
from vault.nodes import Node, OpenedTree, wrapped_node
from vault.primitives import SecretKey


def rotate(tree: OpenedTree, removed: Set[UUID], root: RootRef, root_key: WrappingKey) -> list[Node]:
    """Return the nodes that change, wrapped anew below a new root key.

    ``tree`` holds the ancestors of every removed node and all children of those ancestors. Raises ``Tampered`` when one
    of them does not open, and what loading the old root key raises.
    """
    renewed = {node_id: SecretKey.new() for node_id in _ancestors(tree, removed) - removed}
    changed = []
    for node in tree.nodes.values():
        if node.node_id in removed:
            continue
        key = renewed.get(node.node_id) or tree.key(node.node_id)
        version = node.version + (node.node_id in renewed)
        parent = tree.nodes.get(node.parent_id)
        if parent is None:
            moved = replace(node, version=version, parent_id=root.key_id, parent_version=root.epoch)
            changed.append(wrapped_node(moved, key, root_key))
        elif parent.node_id in renewed:
            moved = replace(node, version=version, parent_version=parent.version + 1)
            changed.append(wrapped_node(moved, key, renewed[parent.node_id], tree.scopes.get(node.node_id)))
    return changed


def _ancestors(tree: OpenedTree, node_ids: Set[UUID]) -> set[UUID]:
    found: set[UUID] = set()
    for node_id in node_ids:
        node = tree.nodes.get(node_id)
        while node is not None and node.parent_id not in found and node.parent_id in tree.nodes:
            found.add(node.parent_id)
            node = tree.nodes[node.parent_id]
    return found
