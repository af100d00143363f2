"""A keyring in a PKCS #11 token: root keys never leave the device, which wraps and unwraps with them itself.

The token holds, each with ``CKA_TOKEN`` and ``CKA_PRIVATE``:

- ``casekeeper-keyring``, a data object: ``{"format", "installation"}`` as JSON;
- ``root-<epoch>-<id>``, an AES-256 key made in the device, sensitive, not extractable, only to encrypt and decrypt;
  its ``CKA_ID`` is the installation's id and the key's (16 bytes each);
- ``secret-<name>``, a data object: the installation's id (16 bytes) and 32 random bytes. These do leave the device:
  they are for HMACs and JOSE keys that are used outside.

A key is destroyed with ``C_DestroyObject``, and counts as destroyed when a library started afresh does not find it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar
from uuid import UUID, uuid4

from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass, Session
from pkcs11.types import Object
from pkcs11.types import SecretKey as TokenKey

from domain.errors import KeyringMismatch, KeysUnavailable
from vault.device_key import DeviceKey
from vault.key_names import root_name, root_named, secret_name, secret_named
from vault.keyring import KeyMissing, RootRef
from vault.keyring_location import Token
from vault.pkcs11_device import Device
from vault.primitives import KEY_BYTES, new_key

FORMAT = 1
_MARK = "casekeeper-keyring"
_DATA = {Attribute.CLASS: ObjectClass.DATA, Attribute.APPLICATION: "casekeeper"}
_KEYS = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES}
_STAYS_INSIDE = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
}

K = TypeVar("K")
T = TypeVar("T")


class Pkcs11Keyring:
    """The keys of one installation in one token. ``KeysUnavailable`` when the device cannot be used.

    ``alone`` keeps all other processes from making or destroying secrets meanwhile: a device cannot make a thing "if
    there is none".
    """

    def __init__(
        self, location: Token, installation_id: UUID, alone: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._device = Device(location)
        self._installation = installation_id
        self._alone = alone
        self._seen_roots: set[RootRef] = set()
        self._seen_secrets: set[str] = set()

    def prepare(self) -> None:
        """Mark the token as this installation's, if it is nobody's. Raises ``KeyringMismatch``."""

        def mark(session: Session, _: int) -> None:
            if _data(session, _MARK):
                return
            content = {"format": FORMAT, "installation": str(self._installation)}
            self._put(session, _MARK, json.dumps(content).encode())

        with self._alone():
            self._run(mark, fresh=True)
        self.check()

    def check(self) -> None:
        """Look at every key.

        Raises ``KeyringMismatch`` when one is of another installation or an unknown version, or could leave the device.
        """

        def look(session: Session, _: int) -> None:
            self._check_mark(session)
            for key in self._roots(session).values():
                _check_stays_inside(key)
            for item in _data(session):
                if secret_named(item[Attribute.LABEL]):
                    self._opened(item)

        self._run(look)

    def check_writable(self) -> None:
        """Open the token for writing. Raises ``KeysUnavailable`` when it is write-protected."""
        self._run(lambda session, _: None)

    def create_root(self, epoch: int, in_force: RootRef | None = None) -> RootRef:
        """Have the device make a new root key. It is one device: there is no other place to make it by mistake."""
        ref = RootRef(epoch, uuid4())

        def create(session: Session, _: int) -> None:
            self._check_mark(session)
            for half_made in self._find_root(session, ref):
                half_made.destroy()
            key = session.generate_key(
                KeyType.AES,
                8 * KEY_BYTES,
                id=self._id(ref),
                label=root_name(ref),
                store=True,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                template=_STAYS_INSIDE,
            )
            _check_stays_inside(key)

        self._run(create)
        self._seen_roots.add(ref)
        return ref

    def load_root(self, ref: RootRef) -> DeviceKey:
        """Return a root key in the device. Raises ``KeyMissing`` or ``KeyringMismatch``."""
        key = DeviceKey(self._run, lambda session: self._root(session, ref))
        key.find()
        self._seen_roots.add(ref)
        return key

    def destroy_root(self, ref: RootRef) -> None:
        """Destroy a root key; one that is gone already is no error."""
        self._destroy(lambda session: self._find_root(session, ref))
        self._seen_roots.discard(ref)

    def roots(self) -> list[RootRef]:
        """Return the root keys there are, oldest first. One that was there before is never overlooked."""
        return sorted(self._listed(lambda session, _: set(self._roots(session)), self._seen_roots))

    def settle(self, in_force: RootRef, confirm: Callable[[], RootRef]) -> None:
        """Do nothing: a device that has replicas keeps them itself."""

    def leftovers(self) -> int:
        """Return 0: nothing in a device has a temporary name."""
        return 0

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes kept under a name ([a-z0-9._-], at most 100), made at the first call."""
        label = secret_name(name)
        with contextlib.suppress(KeyMissing):
            return self._load_secret(name)
        with self._alone():
            with contextlib.suppress(KeyMissing):
                return self._load_secret(name)
            value = self._installation.bytes + new_key()
            self._run(lambda session, _: self._put(session, label, value))
            return self._load_secret(name)

    def destroy_secret(self, name: str) -> None:
        """Destroy a named secret; one that is gone already is no error."""
        label = secret_name(name)
        with self._alone():
            self._destroy(lambda session: [item for item in _data(session, label) if self._opened(item)])

    def secrets(self) -> list[str]:
        """Return the names of the secrets there are, sorted. A token without a keyring is an outage."""

        def names(session: Session, _: int) -> set[str]:
            self._check_mark(session)
            found = (secret_named(item[Attribute.LABEL]) for item in _data(session))
            return {name for name in found if name}

        return sorted(self._listed(names, self._seen_secrets))

    def _listed(self, look: Callable[[Session, int], set[K]], seen: set[K]) -> set[K]:
        """Return what there is; the library is started afresh when it does not show what was seen before."""
        found = self._run(look)
        if not seen.copy() <= found:
            # Destroyed, or out of the library's sight only.
            found = self._run(look, fresh=True)
            seen.intersection_update(found)
        seen.update(found)
        return found

    def _check_mark(self, session: Session) -> None:
        marks = _data(session, _MARK)
        if not marks:
            raise _NoMarkError
        for mark in marks:
            try:
                content = json.loads(mark[Attribute.VALUE])
                known = content["format"], content["installation"]
            except (ValueError, KeyError, TypeError):
                raise KeyringMismatch("the token's keyring is damaged") from None
            if known[0] != FORMAT:
                raise KeyringMismatch("the token's keyring has an unknown version")
            if known[1] != str(self._installation):
                raise KeyringMismatch("the keyring belongs to another installation")

    def _put(self, session: Session, label: str, value: bytes) -> None:
        if not _data(session, label):
            made = {Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.MODIFIABLE: False}
            session.create_object({**_DATA, **made, Attribute.LABEL: label, Attribute.VALUE: value})

    def _root(self, session: Session, ref: RootRef) -> TokenKey:
        found = self._find_root(session, ref)
        if not found:
            self._check_mark(session)
            raise KeyMissing(root_name(ref))
        if len(found) > 1:
            raise KeyringMismatch("two root keys in the token have one name")
        key: TokenKey = found[0]
        return key

    def _find_root(self, session: Session, ref: RootRef) -> list[Any]:
        wanted = {Attribute.LABEL: root_name(ref), Attribute.ID: self._id(ref)}
        return list(session.get_objects({**_KEYS, **wanted}))

    def _roots(self, session: Session) -> dict[RootRef, Any]:
        found = {}
        for key in list(session.get_objects(_KEYS)):
            if ref := root_named(key[Attribute.LABEL]):
                if key[Attribute.ID] != self._id(ref):
                    raise KeyringMismatch("a root key in the token is of another installation, or was renamed")
                found[ref] = key
        if not found:
            self._check_mark(session)
        return found

    def _load_secret(self, name: str) -> bytes:
        label = secret_name(name)

        def load(session: Session, _: int) -> bytes:
            found = _data(session, label)
            if not found:
                self._check_mark(session)
                raise KeyMissing(label)
            if len(found) > 1:
                raise KeyringMismatch("two secrets in the token have one name")
            return self._opened(found[0])

        value = self._run(load)
        self._seen_secrets.add(name)
        return value

    def _opened(self, item: Object) -> bytes:
        value: bytes = item[Attribute.VALUE]
        if value[:16] != self._installation.bytes:
            raise KeyringMismatch("a secret in the token is of another installation")
        if len(value) != 16 + KEY_BYTES:
            raise KeyringMismatch("a secret in the token is damaged")
        return value[16:]

    def _destroy(self, find: Callable[[Session], list[Any]]) -> None:
        def destroy(session: Session, _: int) -> None:
            found = find(session)
            for item in found:
                item.destroy()
            if not found:
                self._check_mark(session)
                raise KeyMissing

        def look(session: Session, _: int) -> None:
            if find(session):
                raise KeysUnavailable("the device did not destroy a key: is it full or write-protected?")

        with contextlib.suppress(KeyMissing):
            self._run(destroy)
            self._run(look, fresh=True)

    def _id(self, ref: RootRef) -> bytes:
        return self._installation.bytes + ref.key_id.bytes

    def _run(self, work: Callable[[Session, int], T], *, fresh: bool = False) -> T:
        try:
            return self._device.run(work, fresh=fresh)
        except _NoMarkError:
            raise KeysUnavailable("the token holds no keyring: is it the right one?") from None


class _NoMarkError(KeyMissing):
    """The token, as its library sees it now, has nothing of ours."""


def occupied(location: Token) -> bool:
    """Return whether a token holds a keyring, whoever's. Raises ``KeysUnavailable``."""
    return Device(location).run(lambda session, _: bool(_data(session)), fresh=True)


def _data(session: Session, label: str = "") -> list[Any]:
    return list(session.get_objects({**_DATA, Attribute.LABEL: label} if label else _DATA))


def _check_stays_inside(key: Object) -> None:
    wanted = {**_STAYS_INSIDE, Attribute.TOKEN: True, Attribute.NEVER_EXTRACTABLE: True, Attribute.LOCAL: True}
    if any(key[attribute] is not value for attribute, value in wanted.items()):
        raise KeyringMismatch("a root key in the token was not made there, or could leave it")
