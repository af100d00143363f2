"""A keyring in a folder: one file per key, readable by its owner only.

A file is one line of JSON ``{"format", "installation", "name", "key", "check"}``; ``check`` (SHA-256 of the rest) tells
a whole file from one that is just being overwritten. Keys appear whole or not at all: they are written under a
temporary name (``.new-…``), synced, and linked to their own, which fails if it exists. Destroying overwrites the file
with zeros in place, syncs, unlinks, syncs the folder; first it does so with what a kill left under a temporary name,
which may be a copy of the same key. A disk that writes elsewhere than it is told (flash, copy-on-write) keeps old
blocks: for those, encrypt the volume or use a device.

The file ``destroyed`` lists the fingerprints of secrets that were destroyed, so that replicas of the folder can tell a
secret that was destroyed elsewhere from one that never reached them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from domain.errors import KeyringMismatch, KeysUnavailable
from vault.durable import sync_folder
from vault.file_lock import lock_file
from vault.key_names import root_name, root_named, secret_name, secret_named
from vault.keyring import KeyMissing, RootRef
from vault.primitives import SecretKey, new_key

FORMAT = 1
LOCK_SECONDS = 5.0
_SUFFIX = ".key"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_DESTROYED = "destroyed"
_TEMPORARY = ".new-"
_ATTEMPTS = 20
_KEY_BYTES = 512
"""At least as large as a key's file."""
_UNWRITABLE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the keyring's volume is full"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "the keyring is read-only"),
}


class FileKeyring:
    """The keys of one installation in one folder. ``KeysUnavailable`` when the folder cannot be read or written."""

    def __init__(self, folder: Path, installation_id: UUID) -> None:
        self._folder = folder
        self._installation = str(installation_id)

    def prepare(self) -> None:
        """Make the folder (mode 0700) if it is missing."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            raise KeysUnavailable("the keyring's folder cannot be made") from None

    def check(self) -> None:
        """Read every key.

        Raises ``KeyringMismatch`` when one is of another installation, of an unknown version, or damaged.
        """
        for file in self._files():
            with contextlib.suppress(KeyMissing):
                self._load(file)

    def check_writable(self) -> None:
        """Write a file of a key's size and remove it again.

        Raises ``KeysUnavailable`` when no key can be made or destroyed, and says whether it is full or read-only.
        """
        temporary = self._folder / f".try-{secrets.token_hex(8)}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(descriptor, b"\0" * _KEY_BYTES)
            finally:
                os.close(descriptor)
                os.unlink(temporary)
        except OSError as error:
            raise _unwritable(error) from None

    def create_root(self, epoch: int, in_force: RootRef | None = None) -> RootRef:
        """Make a new random root key, durable when this returns. Raises like :meth:`check_holds`."""
        self.check_holds(in_force)
        ref = RootRef(epoch, uuid4())
        if not self.put_root(ref, new_key()):
            raise KeysUnavailable("a new root key met one of its own name")
        return ref

    def check_holds(self, in_force: RootRef | None) -> None:
        """Return if the root key in force is here. Raises ``KeysUnavailable``: this may be a mount point alone."""
        refs = self.roots()
        if in_force is not None and in_force not in refs:
            raise KeysUnavailable("the keyring's folder lacks the root key in force: is its volume mounted?")

    def put_root(self, ref: RootRef, key: bytes) -> bool:
        """Keep a root key that was made elsewhere; return whether it was not here yet."""
        with self.alone():
            return self._create(_root_file(ref), key)

    def load_root(self, ref: RootRef) -> SecretKey:
        """Return a root key. Raises ``KeyMissing`` or ``KeyringMismatch``."""
        return SecretKey(self._load(_root_file(ref)))

    def destroy_root(self, ref: RootRef) -> None:
        """Overwrite and remove a root key; one that is gone already is no error."""
        self.clear_leftovers()
        self._destroy(_root_file(ref))

    def roots(self) -> list[RootRef]:
        """Return the root keys there are, oldest first."""
        found = (root_named(_name(file)) for file in self._files())
        return sorted(ref for ref in found if ref)

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes kept under a name ([a-z0-9._-], at most 100), made at the first call."""
        with contextlib.suppress(KeyMissing):
            return self.find_secret(name)
        with self.alone():
            with contextlib.suppress(KeyMissing):
                return self.find_secret(name)
            self.put_secret(name, new_key())
            return self.find_secret(name)

    def find_secret(self, name: str) -> bytes:
        """Return a secret that is there. Raises ``KeyMissing``."""
        return self._load(_secret_file(name))

    def put_secret(self, name: str, key: bytes) -> None:
        """Keep a secret under a name that has none, nobody else being at it (:meth:`alone`)."""
        file = _secret_file(name)
        self._destroy(file)
        self._create(file, key)

    def destroy_secret(self, name: str) -> None:
        """Overwrite and remove a named secret; one that is gone already is no error."""
        file = _secret_file(name)
        with self.alone():
            with contextlib.suppress(KeyMissing):
                self.note_destroyed({SecretKey(self._load(file)).fingerprint()})
            self.remove_secret(name)

    def remove_secret(self, name: str) -> None:
        """Overwrite and remove a secret that is listed as destroyed already, nobody else being at it."""
        self._clear()
        self._destroy(_secret_file(name))

    def is_empty(self) -> bool:
        """Return whether there is no key at all."""
        return not self._files()

    def destroyed(self) -> set[bytes]:
        """Return the fingerprints of the secrets that are known to be destroyed."""
        try:
            lines = (self._folder / _DESTROYED).read_text(errors="replace").split("\n")
        except FileNotFoundError:
            self._files()
            return set()
        except OSError:
            raise KeysUnavailable("a file of the keyring cannot be read") from None
        return {bytes.fromhex(line) for line in lines if _FINGERPRINT.fullmatch(line)}

    def note_destroyed(self, fingerprints: Iterable[bytes]) -> None:
        """Add to the list of destroyed secrets, durable when this returns; nobody else being at it."""
        # A line that a kill cut short ends before the next one.
        text = "".join(f"\n{fingerprint.hex()}\n" for fingerprint in sorted(fingerprints))
        if not text:
            return
        try:
            descriptor = os.open(self._folder / _DESTROYED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _write(descriptor, text.encode())
            finally:
                os.close(descriptor)
            sync_folder(self._folder)
        except OSError:
            raise KeysUnavailable("the keyring cannot be written") from None

    def settle(self, in_force: RootRef, confirm: Callable[[], RootRef]) -> None:
        """Overwrite and remove what a kill left under a temporary name: one copy is always of one mind."""
        self.clear_leftovers()

    def leftovers(self) -> int:
        """Return how many copies of keys a kill has left under a temporary name."""
        if not self._temporary():
            return 0
        # Whoever makes a key just now is waited for.
        with self.alone():
            return len(self._temporary())

    def clear_leftovers(self) -> None:
        """Overwrite and remove what a kill left under a temporary name: a copy of a key that no destruction names."""
        if self._temporary():
            with self.alone():
                self._clear()

    def secrets(self) -> list[str]:
        """Return the names of the secrets there are, sorted.

        Raises ``KeysUnavailable`` where there is not even a root: a volume that is not mounted has lost no secret.
        """
        files = self._files()
        if not files:
            raise _empty()
        found = (secret_named(_name(file)) for file in files)
        return sorted(name for name in found if name)

    def _files(self) -> list[str]:
        try:
            return sorted(file for file in os.listdir(self._folder) if _name(file))
        except OSError:
            raise KeysUnavailable("the keyring's folder cannot be read") from None

    def _temporary(self) -> list[Path]:
        try:
            return [self._folder / name for name in os.listdir(self._folder) if name.startswith(_TEMPORARY)]
        except OSError:
            raise KeysUnavailable("the keyring's folder cannot be read") from None

    def _clear(self) -> None:
        """Clear leftovers, nobody else being at it; where a key's name was linked already, the file is the key's."""
        left = self._temporary()
        if not left:
            return
        try:
            kept = {_inode(self._folder / name) for name in self._files()}
            for path in left:
                if _inode(path) in kept:
                    path.unlink()
                else:
                    _overwrite(path)
            sync_folder(self._folder)
        except OSError:
            raise KeysUnavailable("a key of the keyring cannot be destroyed") from None

    def _load(self, name: str) -> bytes:
        for _ in range(_ATTEMPTS):
            raw = self._read(name)
            if not raw.strip(b"\0"):
                raise KeyMissing(name)
            key = _parse(raw, name, self._installation)
            if key is not None:
                return key
        raise KeyringMismatch("a file of the keyring is damaged")

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            if not self._files():
                raise _empty() from None
            raise KeyMissing(name) from None
        except OSError:
            raise KeysUnavailable("a file of the keyring cannot be read") from None

    def _create(self, name: str, key: bytes) -> bool:
        """Keep a key under a name, nobody else being at it; return whether it was this call that did."""
        temporary = self._folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        content = {"format": FORMAT, "installation": self._installation, "name": name, "key": key.hex()}
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(descriptor, json.dumps({**content, "check": _check(content)}).encode() + b"\n")
                os.link(temporary, self._folder / name)
            except FileExistsError:
                return False
            finally:
                os.close(descriptor)
                self._clear()
        except OSError as error:
            raise _unwritable(error) from None
        return True

    def _destroy(self, name: str) -> None:
        try:
            _overwrite(self._folder / name)
            sync_folder(self._folder)
        except FileNotFoundError:
            # Gone, or on a volume that is not mounted now.
            if not self._files():
                raise _empty() from None
        except OSError:
            raise KeysUnavailable("a key of the keyring cannot be destroyed") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads and processes from making or destroying secrets meanwhile (roots have the tree's lock).

        They wait 5 s and then say so: whoever holds it may be stopped.
        """
        try:
            descriptor = os.open(self._folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(error) from None
        try:
            lock_file(descriptor, LOCK_SECONDS, "another process makes or destroys a secret: is one stopped?")
            yield
        finally:
            os.close(descriptor)


def _root_file(ref: RootRef) -> str:
    return root_name(ref) + _SUFFIX


def _secret_file(name: str) -> str:
    return secret_name(name) + _SUFFIX


def _name(file: str) -> str:
    """Return what the key in a file is called, ``""`` when it is no key's file."""
    name = file.removesuffix(_SUFFIX)
    return name if name != file and (root_named(name) or secret_named(name)) else ""


def _empty() -> KeysUnavailable:
    return KeysUnavailable("the keyring's folder is empty: is its volume mounted?")


def _unwritable(error: OSError) -> KeysUnavailable:
    return KeysUnavailable(_UNWRITABLE.get(error.errno or 0, "the keyring cannot be written"))


def _check(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _overwrite(path: Path) -> None:
    """Fill a file with zeros in place, durably, and remove it."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        _write(descriptor, b"\0" * os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)


def _write(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) != len(content):
        raise OSError(errno.ENOSPC, "short write")
    os.fsync(descriptor)


def _parse(raw: bytes, name: str, installation: str) -> bytes | None:
    """Return the key in a file, ``None`` when the file is not whole. Raises ``KeyringMismatch``."""
    try:
        content = json.loads(raw)
        if content.pop("check") != _check(content):
            return None
        known = content["format"], content["installation"], content["name"]
        key = bytes.fromhex(content["key"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    if known[0] != FORMAT:
        raise KeyringMismatch("a file of the keyring has an unknown version")
    if known[1] != installation:
        raise KeyringMismatch("the keyring belongs to another installation")
    if known[2] != name:
        raise KeyringMismatch("a file of the keyring was renamed")
    return key
