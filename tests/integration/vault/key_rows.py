"""The rows of all keys, the keys that can be had, and which opens which."""

from __future__ import annotations

from uuid import UUID

from vault_keys import Keys

from domain.errors import Tampered
from domain.sealed import KeyScope
from vault import tree_rows
from vault.nodes import Node, OpenedTree
from vault.primitives import SecretKey
from vault.vault import Vault

Scopes = dict[UUID, KeyScope]


def all_rows(keys: Keys, vault: Vault) -> tuple[list[Node], Scopes]:
    """Return every node and every scope there is now."""
    ids = [row[0] for row in keys.sql("SELECT node_id FROM key_node")]

    def read(cursor):
        scopes = tree_rows.scopes_by_id(cursor, ids)
        return tree_rows.paths(cursor, ids), {scope_id: record.scope for scope_id, record in scopes.items()}

    return vault._connections.read(read)


def keys_of_today(keys: Keys, vault: Vault) -> list[SecretKey]:
    """Return every key that can be had now: all nodes', the root's and the named secrets."""
    nodes, scopes = all_rows(keys, vault)
    tree = OpenedTree(nodes, scopes, vault._keyring.load_root)
    roots = [vault._keyring.load_root(ref) for ref in vault._keyring.roots()]
    return [tree.key(node.node_id) for node in nodes] + roots + [SecretKey(vault.secret(n)) for n in vault.secrets()]


def opens(key: SecretKey, node: Node, scopes: Scopes) -> bool:
    """Return whether a key opens a row, in the place it had."""
    try:
        key.unwrap(node.wrapped, node.associated(scopes.get(node.node_id)))
    except Tampered:
        return False
    return True
