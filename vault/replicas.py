"""A keyring of several folders that hold the same keys: losing one loses nobody.

Making and destroying is acknowledged by all folders, or it is an outage; reading takes what the first that answers has.
Folders that differ are brought together at every start and before every destruction, by two rules:

- A root key: the keys cluster is the judge. The one in force is copied to whoever lacks it, every other is destroyed.
  A folder that lacks the one in force and has a later one proves that the cluster is of the past: nothing is changed.
- A secret that one folder has and another lacks was destroyed if any folder lists its fingerprint as destroyed: then
  it is destroyed everywhere. Otherwise it never reached the other, and is copied.

A folder with nothing in it may be a volume that is not mounted, and a key written under a mount point would survive its
destruction. So an empty folder is filled only where the operator has put a file ``new-replica``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from domain.errors import KeyringMismatch, KeysUnavailable
from vault.file_keyring import FileKeyring
from vault.keyring import KeyMissing, RootRef
from vault.primitives import SecretKey, new_key

NEW = "new-replica"
EMPTY = "empty"
LACKS_ROOT = "lacks the root key in force"

T = TypeVar("T")
State = tuple[dict[str, bytes], set[bytes]]
"""Of one folder: its secrets by name, and the fingerprints it lists as destroyed."""


class ReplicatedKeyring:
    """The keys of one installation in several folders. ``KeysUnavailable`` says which of them, by number from 1."""

    def __init__(self, folders: Sequence[Path], installation_id: UUID) -> None:
        self._folders = tuple(folders)
        self._replicas = [FileKeyring(folder, installation_id) for folder in folders]

    def prepare(self) -> None:
        """Make the folders that are missing."""
        self._all(lambda replica: replica.prepare())

    def check(self) -> None:
        """Read every key that is in reach. Raises ``KeyringMismatch`` for any that does not belong there."""
        self._in_reach(lambda replica: replica.check())

    def check_writable(self) -> None:
        """Return if one folder takes writes: with another that does not, people are served, and nobody is forgotten."""
        self._in_reach(lambda replica: replica.check_writable())

    def create_root(self, epoch: int, in_force: RootRef | None = None) -> RootRef:
        """Make a new random root key in all folders. One that is in some only, after an outage, is an orphan.

        Raises ``KeysUnavailable`` when a folder lacks the root key in force: its volume went away a moment ago.
        """
        self._all(lambda replica: replica.check_holds(in_force))
        ref, key = RootRef(epoch, uuid4()), new_key()
        self._all(lambda replica: replica.put_root(ref, key))
        try:
            self._all(lambda replica: replica.check_holds(in_force))
        except KeysUnavailable:
            # What stands under a mount point would be out of sight once the volume is back.
            for replica in self._replicas:
                with suppress(KeysUnavailable):
                    replica.destroy_root(ref)
            raise
        return ref

    def load_root(self, ref: RootRef) -> SecretKey:
        """Return a root key from the first folder that has it.

        Raises ``KeyMissing`` if all answer and have it not, ``KeysUnavailable`` if one does not answer.
        """
        problems: list[Exception] = []
        for replica in self._replicas:
            try:
                return replica.load_root(ref)
            except (KeyMissing, KeysUnavailable, KeyringMismatch) as problem:
                problems.append(problem)
        raise min(problems, key=lambda problem: _GRAVEST.index(type(problem)))

    def destroy_root(self, ref: RootRef) -> None:
        """Destroy a root key in all folders, in every one that can be reached even if another cannot."""
        self._all(lambda replica: replica.destroy_root(ref))

    def roots(self) -> list[RootRef]:
        """Return the root keys that any folder has, oldest first; all must answer."""
        return sorted({ref for refs in self._all(lambda replica: replica.roots()) for ref in refs})

    def settle(self, in_force: RootRef, confirm: Callable[[], RootRef]) -> None:
        """Bring the folders that answer to one state. Raises ``KeyringMismatch`` when the cluster is of the past."""
        held = self._in_reach(lambda replica: set(replica.roots()))
        lacking = [replica for replica, refs in held.items() if in_force not in refs]
        if any(ref.epoch > in_force.epoch for replica in lacking for ref in held[replica]):
            raise KeyringMismatch("the keyring lacks the root key in force: the keys cluster is older than the keyring")
        if len(lacking) == len(held):
            return
        self._refuse_empty(lacking)
        self._in_reach(lambda replica: replica.clear_leftovers())
        self._copy_root(in_force, lacking, confirm)
        states = self._states()
        if any(state != states[0] for state in states) or len(_live(states)) != len(states[0][0]):
            with self._alone():
                self._settle_secrets()
        for folder in self._folders:
            with suppress(OSError):
                (folder / NEW).unlink(missing_ok=True)

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes kept under a name, made in all folders at the first call."""
        found, everywhere = self._find(name)
        if found is not None:
            if not everywhere:
                with suppress(KeysUnavailable), self._alone():
                    self._settle_secrets()
            return found
        with self._alone():
            found, _ = self._find(name)
            key = new_key() if found is None else found
            self._all(lambda replica: _complete(replica, name, key))
            return key

    def destroy_secret(self, name: str) -> None:
        """Destroy a named secret in all folders: first each lists it as destroyed, then each removes it."""
        with self._alone():
            found = [key for key in self._all(lambda replica: _found(replica, name)) if key is not None]
            fingerprints = {SecretKey(key).fingerprint() for key in found}
            self._all(lambda replica: replica.note_destroyed(fingerprints - replica.destroyed()))
            self._all(lambda replica: replica.remove_secret(name))

    def secrets(self) -> list[str]:
        """Return the names of the secrets that any folder in reach has and none lists as destroyed, sorted."""
        return sorted(_live(self._states()))

    def leftovers(self) -> int:
        """Return how many copies of keys a kill has left under a temporary name; all must answer."""
        return sum(self._all(lambda replica: replica.leftovers()))

    def faults(self, in_force: RootRef) -> dict[Path, str]:
        """Return what is wrong with each folder that is not as it should be."""
        found = {}
        for folder, replica in zip(self._folders, self._replicas, strict=True):
            try:
                refs = replica.roots()
                replica.check()
                replica.check_writable()
            except (KeysUnavailable, KeyringMismatch) as problem:
                found[folder] = str(problem)
                continue
            if in_force not in refs:
                found[folder] = EMPTY if replica.is_empty() else LACKS_ROOT
        return found

    def _find(self, name: str) -> tuple[bytes | None, bool]:
        """Return the secret if there is one that is not destroyed, and whether all that answer have it alike."""
        found = self._in_reach(lambda replica: (_found(replica, name), replica.destroyed()))
        gone = set().union(*(destroyed for _, destroyed in found.values()))
        keys = [None if key and SecretKey(key).fingerprint() in gone else key for key, _ in found.values()]
        live = {key for key in keys if key is not None}
        if len(live) > 1:
            raise KeyringMismatch("the replicas of the keyring have different secrets under one name")
        if not live and len(found) < len(self._replicas):
            self._all(lambda replica: replica.destroyed())
        return (live.pop() if live else None), None not in keys

    def _states(self) -> list[State]:
        return list(self._in_reach(lambda replica: (_secrets(replica), replica.destroyed())).values())

    def _settle_secrets(self) -> None:
        gone = set().union(*self._all(lambda replica: replica.destroyed()))
        self._all(lambda replica: replica.note_destroyed(gone - replica.destroyed()))
        for name in sorted({name for keys in self._all(_secrets) for name in keys}):
            self._settle_secret(name)

    def _settle_secret(self, name: str) -> None:
        key, everywhere = self._find(name)
        if key is None:
            self._all(lambda replica: replica.remove_secret(name))
        elif not everywhere:
            self._all(lambda replica: _complete(replica, name, key))

    def _copy_root(self, ref: RootRef, lacking: list[FileKeyring], confirm: Callable[[], RootRef]) -> None:
        if not lacking:
            return
        key, filled = self.load_root(ref).exposed(), []
        try:
            for replica in lacking:
                if replica.put_root(ref, key):
                    filled.append(replica)
            if confirm() != ref:
                raise KeysUnavailable("the root key changed while it was copied")
        except BaseException:
            # Whoever was stopped meanwhile may have copied a key that another process has destroyed since.
            for replica in filled:
                with suppress(KeysUnavailable):
                    replica.destroy_root(ref)
            raise

    def _refuse_empty(self, lacking: list[FileKeyring]) -> None:
        for number, (folder, replica) in enumerate(zip(self._folders, self._replicas, strict=True), 1):
            if replica in lacking and replica.is_empty() and not (folder / NEW).exists():
                raise KeysUnavailable(f"replica {number} of the keyring is empty: is its volume mounted?")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with ExitStack() as stack:
            # Always in one order, whatever that of the setting is: two processes never wait for one another.
            numbered = zip(map(str, self._folders), range(1, len(self._replicas) + 1), self._replicas, strict=True)
            for _, number, replica in sorted(numbered, key=itemgetter(0)):
                try:
                    stack.enter_context(replica.alone())
                except KeysUnavailable as problem:
                    raise KeysUnavailable(f"replica {number}: {problem}") from None
            yield

    def _all(self, call: Callable[[FileKeyring], T]) -> list[T]:
        """Call every replica; raise for the first that failed after all were called."""
        answers, problems = [], []
        for number, replica in enumerate(self._replicas, 1):
            try:
                answers.append(call(replica))
            except KeysUnavailable as problem:
                problems.append(KeysUnavailable(f"replica {number}: {problem}"))
        if problems:
            raise problems[0]
        return answers

    def _in_reach(self, call: Callable[[FileKeyring], T]) -> dict[FileKeyring, T]:
        """Call every replica; leave out those that do not answer, unless none does."""
        answers: dict[FileKeyring, T] = {}
        problem = None
        for replica in self._replicas:
            try:
                answers[replica] = call(replica)
            except KeysUnavailable as unavailable:
                problem = problem or unavailable
        if problem and not answers:
            raise problem
        return answers


_GRAVEST = [KeyringMismatch, KeysUnavailable, KeyMissing]


def _live(states: list[State]) -> set[str]:
    gone = set().union(*(destroyed for _, destroyed in states))
    return {name for keys, _ in states for name, key in keys.items() if SecretKey(key).fingerprint() not in gone}


def _secrets(replica: FileKeyring) -> dict[str, bytes]:
    return {name: key for name in replica.secrets() if (key := _found(replica, name)) is not None}


def _found(replica: FileKeyring, name: str) -> bytes | None:
    try:
        return replica.find_secret(name)
    except KeyMissing:
        return None


def _complete(replica: FileKeyring, name: str, key: bytes) -> None:
    if _found(replica, name) != key:
        replica.put_secret(name, key)
