"""First start: gives the keys cluster an installation id, makes the first root key and plants the tree.

The id is committed before the keyring is touched, so a keyring with keys beside a cluster without is never taken for
a start that was interrupted: it belongs to other keys, and is left alone.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

from psycopg2.extensions import cursor as Cursor

from domain.errors import KeyringMismatch
from vault import tree_rows
from vault.connections import Connections
from vault.file_keyring import FileKeyring
from vault.nodes import INNER, new_node, wrapped_node
from vault.primitives import SecretKey
from vault.tree import KeyTree
from vault.tree_rows import Installation

FORMAT = 1
"""Version of the tree's format that this program reads and writes."""


def attach(connections: Connections, folder: Path, fanout: int) -> FileKeyring:
    """Return the keyring of the keys cluster, both made if this is the first start.

    ``fanout`` (2 to 64) counts at the first start only. Raises ``KeysUnavailable``; ``KeyringMismatch`` when keyring
    and cluster are not of one installation, or of a version this program does not know.
    """
    found = _known(connections, folder) or connections.write(lambda cursor: _register(cursor, fanout))
    keyring = FileKeyring(folder, found.installation_id)
    if found.ref is None:
        keyring.prepare()
        connections.write(lambda cursor: _plant(cursor, keyring))
    keyring.check()
    # A start that could forget nobody would be noticed by the first person to be forgotten.
    keyring.check_writable()
    return keyring


def planted(dsn: str) -> bool:
    """Return whether a keys cluster has a root key, which some keyring must then hold. Raises ``KeysUnavailable``."""
    connections = Connections(dsn, 1)
    try:
        found = connections.read(tree_rows.read_installation)
    finally:
        connections.close()
    return found is not None and found.ref is not None


def installation_of(dsn: str) -> UUID | None:
    """Return whose keys a keys cluster holds, ``None`` when it holds none. Raises ``KeysUnavailable``."""
    connections = Connections(dsn, 1)
    try:
        found = connections.read(tree_rows.read_installation)
    finally:
        connections.close()
    return found.installation_id if found else None


def inspect(dsn: str, folder: Path) -> FileKeyring | None:
    """Return the keyring of a keys cluster, both left as they are; ``None`` before the first start has made their keys.

    Raises ``KeyringMismatch`` when they do not belong together, ``KeysUnavailable`` when the root key cannot be read.
    """
    connections = Connections(dsn, 1)
    try:
        found = _known(connections, folder)
        if found is None or found.ref is None:
            return None
        keyring = FileKeyring(folder, found.installation_id)
        keyring.check()
        KeyTree(connections, keyring).check_root()
        return keyring
    finally:
        connections.close()


def _known(connections: Connections, folder: Path) -> Installation | None:
    """Return what the keys cluster says of itself; ``None`` before the first start. Raises ``KeyringMismatch``."""
    found = connections.read(tree_rows.read_installation)
    if found is None and any(folder.glob("*.key")):
        raise KeyringMismatch("the keyring holds keys, the keys cluster has none: they do not belong together")
    if found is not None and found.format != FORMAT:
        raise KeyringMismatch("the keys cluster has an unknown version")
    return found


def _register(cursor: Cursor, fanout: int) -> Installation:
    tree_rows.insert_installation(cursor, uuid4(), FORMAT, fanout)
    found = tree_rows.read_installation(cursor)
    assert found is not None
    return found


def _plant(cursor: Cursor, keyring: FileKeyring) -> None:
    """Make the first root key and the top of the tree, unless another process just did."""
    tree_rows.take_installation(cursor)
    found = tree_rows.read_installation(cursor)
    if found is None or found.ref is not None:
        return
    keyring.check()
    ref = keyring.create_root(1)
    tree_rows.set_root(cursor, ref)
    top = new_node(uuid4(), INNER, ref, level=1, place=0)
    tree_rows.insert_nodes(cursor, [wrapped_node(top, SecretKey.new(), keyring.load_root(ref))])
