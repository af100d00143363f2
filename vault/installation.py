"""First start: gives the keys cluster an installation id, makes the first root key and plants the tree.

The id is committed before the keyring is touched, so a keyring with keys beside a cluster without is never taken for
a start that was interrupted: it belongs to other keys, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from psycopg2.extensions import cursor as Cursor

from domain.errors import KeyringMismatch, SettingInvalid
from vault import tree_rows
from vault.connections import Connections
from vault.file_keyring import FileKeyring
from vault.keyring import Keyring
from vault.keyring_location import Folders, KeyringLocation
from vault.nodes import INNER, new_node, wrapped_node
from vault.primitives import SecretKey
from vault.replicas import ReplicatedKeyring
from vault.tree import KeyTree
from vault.tree_rows import Installation

FORMAT = 1
"""Version of the tree's format that this program reads and writes."""


class PreparedKeyring(Keyring, Protocol):
    """A keyring as an installation opens it."""

    def prepare(self) -> None:
        """Make the place for keys, if it is missing."""

    def check(self) -> None:
        """Look at every key. Raises ``KeyringMismatch``."""

    def check_writable(self) -> None:
        """Look whether keys can be made and destroyed. Raises ``KeysUnavailable``."""


def attach(connections: Connections, place: Path | KeyringLocation, fanout: int) -> PreparedKeyring:
    """Return the keyring of the keys cluster, both made if this is the first start.

    ``fanout`` (2 to 64) counts at the first start only. Raises ``KeysUnavailable``; ``KeyringMismatch`` when keyring
    and cluster are not of one installation, or of a version this program does not know.
    """
    location = Folders((place,)) if isinstance(place, Path) else place
    found = _known(connections, location) or connections.write(lambda cursor: _register(cursor, fanout))
    keyring = keyring_at(connections, location, found.installation_id)
    if found.ref is None:
        keyring.prepare()
        connections.write(lambda cursor: _plant(cursor, keyring))
    keyring.check()
    # A start that could forget nobody would be noticed by the first person to be forgotten.
    keyring.check_writable()
    return keyring


def planted(dsn: str) -> bool:
    """Return whether a keys cluster has a root key, which some keyring must then hold. Raises ``KeysUnavailable``."""
    found = _read(dsn)
    return found is not None and found.ref is not None


def installation_of(dsn: str) -> UUID | None:
    """Return whose keys a keys cluster holds, ``None`` when it holds none. Raises ``KeysUnavailable``."""
    found = _read(dsn)
    return found.installation_id if found else None


def inspect(dsn: str, location: KeyringLocation) -> PreparedKeyring | None:
    """Return the keyring of a keys cluster, both left as they are; ``None`` before the first start has made their keys.

    Raises ``KeyringMismatch`` when they do not belong together, ``KeysUnavailable`` when the root key cannot be read.
    """
    connections = Connections(dsn, 1)
    try:
        found = _known(connections, location)
        if found is None or found.ref is None:
            return None
        keyring = keyring_at(connections, location, found.installation_id)
        keyring.check()
        KeyTree(connections, keyring).check_root()
        return keyring
    finally:
        connections.close()


def replica_faults(dsn: str, location: Folders) -> dict[Path, str]:
    """Return what is wrong with each replica of a keyring, once it has keys. Raises ``KeysUnavailable``."""
    found = _read(dsn)
    if found is None or found.ref is None:
        return {}
    return ReplicatedKeyring(location.folders, found.installation_id).faults(found.ref)


def keyring_at(connections: Connections, location: KeyringLocation, installation_id: UUID) -> PreparedKeyring:
    """Return the keyring at a place as it is, unseen. Raises ``SettingInvalid`` where its library is not installed."""
    if isinstance(location, Folders):
        if len(location.folders) > 1:
            return ReplicatedKeyring(location.folders, installation_id)
        return FileKeyring(location.folders[0], installation_id)
    try:
        from vault.pkcs11_keyring import Pkcs11Keyring
    except ImportError:
        raise _needs_pkcs11() from None
    return Pkcs11Keyring(location, installation_id, lambda: _alone(connections))


def _occupied(location: KeyringLocation) -> bool:
    """Return whether there are keys already, whoever's."""
    if isinstance(location, Folders):
        return any(any(folder.glob("*.key")) for folder in location.folders)
    try:
        from vault.pkcs11_keyring import occupied
    except ImportError:
        raise _needs_pkcs11() from None
    return occupied(location)


def _needs_pkcs11() -> SettingInvalid:
    return SettingInvalid("a keyring in a device needs python-pkcs11: pip install 'casekeeper[hsm]'")


@contextmanager
def _alone(connections: Connections) -> Iterator[None]:
    """Keep all other processes of the installation from making or destroying secrets meanwhile."""
    with connections.session() as session, session.cursor() as cursor:
        tree_rows.lock_secrets(cursor)
        yield


def _read(dsn: str) -> Installation | None:
    """Return what a keys cluster says of itself; ``None`` before the first start. Raises ``KeysUnavailable``."""
    connections = Connections(dsn, 1)
    try:
        return connections.read(tree_rows.read_installation)
    finally:
        connections.close()


def _known(connections: Connections, location: KeyringLocation) -> Installation | None:
    """Return what the keys cluster says of itself; ``None`` before the first start. Raises ``KeyringMismatch``."""
    found = connections.read(tree_rows.read_installation)
    if found is None and _occupied(location):
        raise KeyringMismatch("the keyring holds keys, the keys cluster has none: they do not belong together")
    if found is not None and found.format != FORMAT:
        raise KeyringMismatch("the keys cluster has an unknown version")
    return found


def _register(cursor: Cursor, fanout: int) -> Installation:
    tree_rows.insert_installation(cursor, uuid4(), FORMAT, fanout)
    found = tree_rows.read_installation(cursor)
    assert found is not None
    return found


def _plant(cursor: Cursor, keyring: PreparedKeyring) -> None:
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
