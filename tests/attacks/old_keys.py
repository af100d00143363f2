"""The keys of one installation as an attacker has them: rows of the past, every key of the present, raw bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg2.extras

from domain.errors import Tampered
from domain.sealed import KeyScope
from ops.postgres import Cluster
from ops.roles import KEYS
from vault import tree_rows
from vault.file_keyring import FileKeyring
from vault.nodes import Node, OpenedTree
from vault.primitives import KEY_BYTES, SecretKey

_HEX_KEY = re.compile(rb"(?=([0-9a-f]{64}))")


@dataclass(frozen=True)
class Rows:
    """Every key row and every scope there was at one moment."""

    nodes: dict[UUID, Node]
    scopes: dict[UUID, KeyScope]
    installation_id: UUID

    @classmethod
    def read(cls, cluster: Cluster) -> Rows:
        """Read them as the cluster's administrator."""
        connection = cluster.connect(KEYS)
        psycopg2.extras.register_uuid(conn_or_curs=connection)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT installation_id FROM key_root")
                installation_id = cursor.fetchone()[0]
                cursor.execute("SELECT node_id FROM key_node")
                ids = [row[0] for row in cursor.fetchall()]
                nodes = {node.node_id: node for node in tree_rows.paths(cursor, ids)}
                scopes = {i: record.scope for i, record in tree_rows.scopes_by_id(cursor, ids).items()}
        finally:
            connection.close()
        return cls(nodes, scopes, installation_id)

    def tree(self, keyring: Path) -> OpenedTree:
        """Return these rows with the root keys of a keyring's folder."""
        return OpenedTree(self.nodes.values(), self.scopes, FileKeyring(keyring, self.installation_id).load_root)

    def hanging_from(self, subject_id: UUID) -> list[Node]:
        """Return a person's node, all data keys below it, and every ancestor."""
        found = [node for node in self.nodes.values() if subject_id in (node.node_id, node.parent_id)]
        node = self.nodes.get(self.nodes[subject_id].parent_id)
        while node is not None:
            found.append(node)
            node = self.nodes.get(node.parent_id)
        return found


def keys_of_today(rows: Rows, keyring: Path) -> list[SecretKey]:
    """Return every key that can be had: all nodes', and all that stand in the keyring's bytes, in hex or raw."""
    tree = rows.tree(keyring)
    return [*(tree.key(node_id) for node_id in rows.nodes), *keys_in(path.read_bytes() for path in keyring.iterdir())]


def keys_in(contents: Iterable[bytes]) -> list[SecretKey]:
    """Return every 32 bytes that raw bytes may hold as a key, wherever they begin, and those written in hex."""
    found: set[bytes] = set()
    for content in contents:
        found.update(content[start : start + KEY_BYTES] for start in range(len(content) - KEY_BYTES + 1))
        found.update(bytes.fromhex(match.decode()) for match in _HEX_KEY.findall(content))
    return [SecretKey(key) for key in found]


def opened(wrapped: Sequence[Node], scopes: dict[UUID, KeyScope], keys: list[SecretKey]) -> list[UUID]:
    """Try every key on every wrapped key, and every key that is won by it again; return the nodes that opened."""
    won: list[UUID] = []
    while keys:
        fresh = []
        for node in wrapped:
            associated = node.associated(scopes.get(node.node_id))
            for key in keys:
                try:
                    fresh.append(key.unwrap(node.wrapped, associated))
                except Tampered:
                    continue
                won.append(node.node_id)
        wrapped = [node for node in wrapped if node.node_id not in won]
        keys = fresh
    return won
