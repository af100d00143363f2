"""The vault: seals personal data for its place, opens it again, and destroys the keys it hangs from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID

import structlog

from domain.errors import Fenced, KeyNeverExisted, KeysUnavailable, Tampered
from domain.sealed import Binding, Erased, KeyScope, SealedField, SealedPart
from vault import change_rows, tree_rows
from vault.cache import KeyCache
from vault.change_log import ChangeLog
from vault.connections import Connections
from vault.destruction_request import DestructionRequest
from vault.forgetting import Destruction, Forgetting, Outcome
from vault.holder import LEASE_SECONDS, Holder
from vault.installation import attach
from vault.keyring import Keyring
from vault.keyring_location import KeyringLocation
from vault.recall import Recalled, recall
from vault.renewal import Renewal, Renewed
from vault.sealing import SealedValue, event_key, seal, unseal
from vault.suppression import SuppressionList
from vault.tree import ErasedScope, KeyTree, Lookup, ScopeKey
from vault.verification import Finding, Verification

LONGEST_CACHE_SECONDS = 30
MIGRATIONS = Path(__file__).parent / "migrations"
"""The keys cluster's numbered SQL files, for whoever applies them."""

_ATTEMPTS = 5
_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class ScopeRow:
    """A key scope and whether its key is ``live`` or ``destroyed``."""

    scope_id: UUID
    scope: KeyScope
    state: str


class Vault:
    """Thread-safe. Every method may raise ``KeysUnavailable`` (an outage, never an erasure) or ``KeyringMismatch``."""

    def __init__(
        self,
        connections: Connections,
        keyring: Keyring,
        *,
        cache_seconds: float = LONGEST_CACHE_SECONDS,
        after_step: Callable[[str], None] = lambda step: None,
        changes: ChangeLog | None = None,
    ) -> None:
        if not 0 <= cache_seconds <= LONGEST_CACHE_SECONDS:
            raise ValueError("keys are cached for 0 to 30 seconds")
        self._connections = connections
        self._keyring = keyring
        self._tree = KeyTree(connections, keyring)
        self._changes = changes
        self._after_step = after_step
        self._forgetting = Forgetting(connections, keyring, after_step, self._log_changes)
        self._holder = Holder(connections.dsn, self.drop_cache)
        self._cache = KeyCache(cache_seconds, self._holder.leased)
        self.suppression = SuppressionList(connections, keyring, self._log_changes)

    @classmethod
    def open_at(
        cls,
        keys_dsn: str,
        keyring: Path | KeyringLocation,
        *,
        cache_seconds: float = LONGEST_CACHE_SECONDS,
        fanout: int = 64,
        after_step: Callable[[str], None] = lambda step: None,
        changes: Path | None = None,
    ) -> Self:
        """Open the vault of a keys cluster (migrated) and a keyring (or its folder); the first start makes their keys.

        ``fanout`` (2 to 64 children of a node) counts at the first start only. ``changes``: folder of the key change
        log; without one new keys and rotations wait in the keys cluster for a process that has one. A destruction that
        a killed process left half done is finished; if its keys do not verify, or a replica of the keyring is away,
        that is logged, nothing is destroyed, and the next :meth:`destroy` raises. Raises ``KeyringMismatch`` when the
        two do not belong together.
        """
        connections = Connections(keys_dsn)
        kept = attach(connections, keyring, fanout)
        log = ChangeLog(keys_dsn, changes, after_step) if changes is not None else None
        if log is not None:
            log.open()
        vault = cls(connections, kept, cache_seconds=cache_seconds, after_step=after_step, changes=log)
        try:
            vault._forgetting.resume()
        except Tampered as problem:
            _log.error("destruction_not_finished", error=problem)
        except KeysUnavailable as problem:
            # With a replica away nothing can be destroyed, but what is there can be read.
            vault.health()
            _log.error("destruction_not_finished", error=problem)
        return vault

    def scope(self, scope: KeyScope) -> UUID:
        """Return the id of a key scope, its keys made if missing, and in the key change log, where one is kept.

        Raises ``Fenced`` if it was destroyed.
        """
        if cached := self._cache.find(scope):
            return cached
        scope_id = self._tree.provision(scope)
        self._log_changes()
        return scope_id

    def seal(self, scope_id: UUID, category: str, binding: Binding, value: Mapping[str, Any]) -> SealedPart:
        """Return a value sealed for one field of one event.

        Raises ``Fenced`` for a destroyed scope, ``KeyNeverExisted``, ``InvalidInput``, ``EventTooLarge``, and
        ``ValueError`` when the scope is of another person or category.
        """
        found = self._find([scope_id]).get(scope_id)
        if isinstance(found, Tampered):
            raise found
        if found is None:
            raise KeyNeverExisted(scope_id)
        if isinstance(found, ErasedScope):
            raise Fenced([scope_id])
        if (found.scope.subject_id, found.scope.category) != (binding.subject_id, category):
            raise ValueError("the key scope is of another person or category")
        text = seal(event_key(found.key, binding), scope_id, binding, value)
        return SealedPart(binding.subject_id, category, scope_id, text)

    def open(self, field: SealedField) -> dict[str, Any] | Erased:
        """Return the value of a sealed field, or that it was erased. Raises ``Tampered``, ``KeyNeverExisted``."""
        return self.open_many([field])[0]

    def open_many(self, fields: Sequence[SealedField]) -> list[dict[str, Any] | Erased]:
        """Open several fields with one look at the keys, in order. Raises for the first that cannot be opened."""
        return self._settled(
            lambda: [
                answer if isinstance(answer, Erased) else unseal(answer, sealed, field.binding)
                for field, sealed, answer in self._event_keys(fields)
            ]
        )

    def opening(self, field: SealedField) -> bytes | Erased:
        """Return the event key (32 bytes) that opens this field and no other, for a reader who may have it."""
        return self._settled(lambda: self._opening(field))

    def _opening(self, field: SealedField) -> bytes | Erased:
        [(_, sealed, answer)] = self._event_keys([field])
        if not isinstance(answer, Erased):
            unseal(answer, sealed, field.binding)
        return answer

    def _settled(self, work: Callable[[], _T]) -> _T:
        """Return what was done with keys, done again if one may have been recalled meanwhile.

        So a process that was stopped between reading a key and using it answers with what is true when it runs again.
        """
        for _ in range(_ATTEMPTS):
            ticket = self._cache.ticket()
            answer = work()
            if self._cache.undisturbed(ticket, LEASE_SECONDS):
                return answer
        raise KeysUnavailable("keys kept being recalled while they were used")

    def scopes_of(self, subject_id: UUID) -> list[ScopeRow]:
        """Return all key scopes a person ever had, in the order of their ids."""
        records = self._connections.read(lambda cursor: tree_rows.scopes_of(cursor, [subject_id]))
        return [ScopeRow(r.scope_id, r.scope, "destroyed" if r.erased else "live") for r in records]

    def live_among(self, ids: Collection[UUID]) -> dict[UUID, UUID]:
        """Return which of these people and key scopes have a key that was never destroyed, each with its person."""
        return self._connections.read(lambda cursor: tree_rows.live_among(cursor, ids))

    def destroy(
        self, certificate_id: UUID, at: datetime, subject_ids: Sequence[UUID], scope_ids: Sequence[UUID]
    ) -> Destruction:
        """Destroy whole people and single scopes, for ever, in one rotation of the tree.

        ``at`` (with a time zone) is what an ``Erased`` answer shows. Repeated under the same certificate it returns the
        first outcome, whatever happened to the first call. Raises ``KeyNeverExisted`` for an unknown scope,
        ``InvalidInput`` when the certificate was used for less, ``Tampered`` when a key does not verify: then the old
        root key is still there.
        """
        request = DestructionRequest(certificate_id, at, frozenset(subject_ids), frozenset(scope_ids))
        outcome = self.destroy_many([request])[certificate_id]
        if not isinstance(outcome, Destruction):
            raise outcome
        return outcome

    def destroy_many(self, requests: Sequence[DestructionRequest]) -> dict[UUID, Outcome]:
        """Destroy what several certificates ask for, in one rotation; return what became of each certificate.

        One that cannot be carried out (``KeyNeverExisted``, ``InvalidInput``) keeps no other from it. Each can be
        repeated, alone or with others. Raises ``Tampered`` when a key does not verify: then the old root key is still
        there.
        """
        if any(request.at.tzinfo is None for request in requests):
            raise ValueError("the time of a destruction needs a time zone")
        if len({request.certificate_id for request in requests}) < len(requests):
            raise ValueError("a certificate is asked for twice")
        try:
            outcomes = self._forgetting.destroy(requests)
        finally:
            self._cache.drop(None)
        self._log_changes()
        return outcomes

    def recall(self, requests: Sequence[DestructionRequest]) -> Recalled:
        """Hand out none of the keys that these requests are for any more, and have all processes let go of them.

        From then on they open as erased, everywhere; only :meth:`destroy_many` still takes them. Waits 2 s at most.
        Can be repeated, and is not taken back.
        """
        return recall(self._connections, requests, LONGEST_CACHE_SECONDS)

    def hold_keys(self) -> None:
        """Keep keys in memory from now on: as a process that is told, and lets go, when they are recalled."""
        self._holder.start()

    def holds_keys(self) -> bool:
        """Return whether keys that are in memory may be used now."""
        return self._holder.leased()

    def drop_cache(self, subject_ids: Collection[UUID] | None = None) -> None:
        """Forget the cached keys of these people, or all."""
        self._cache.drop(subject_ids)

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes kept in the keyring under a name, made at the first call by any process."""
        return self._keyring.secret(name)

    def destroy_secret(self, name: str) -> None:
        """Destroy a named secret; one that is gone already is no error."""
        self._keyring.destroy_secret(name)

    def secrets(self) -> list[str]:
        """Return the names of the secrets in the keyring, sorted."""
        return self._keyring.secrets()

    def health(self) -> None:
        """Return if keys can be read now: keys cluster and root key are both there."""
        self._tree.check_root()

    def renew_all(
        self, at: datetime, moved: Callable[[int, int], None] = lambda done, all_: None, *, go_on: bool = False
    ) -> Renewed:
        """Give every key above the data keys a new one, the root key last, while everything goes on.

        ``go_on``: with what an earlier call left, whose keys of then stay. ``moved`` is told how many nodes of about
        how many. Raises ``Tampered`` when a key does not open: then no root key was destroyed.
        """
        renewal = Renewal(self._connections, self._keyring, self._forgetting, self._log_changes, self._after_step)
        renewed = renewal.run(at, moved, go_on=go_on)
        self._log_changes()
        return renewed

    def verify(self, moved: Callable[[int, int], None] = lambda done, all_: None) -> Iterator[Finding]:
        """Look at all keys, one thing after the other; ``moved`` is told how many of about how many were opened."""
        verification = Verification(self._connections, self._keyring)
        yield verification.keys_open(moved)
        yield verification.destroyed_gone()
        yield verification.keyring_holds()
        if self._changes is not None:
            yield verification.log_complete(self._changes)

    def pool_use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._connections.use()

    def close(self) -> None:
        """Drop all cached keys and close all connections."""
        self._holder.stop()
        self._cache.drop(None)
        self._connections.close()
        if self._changes is not None:
            self._changes.close()

    def _log_changes(self) -> None:
        """Return when every change that is committed is in the key change log, where one is kept."""
        if self._changes is not None and self._connections.read(change_rows.waiting):
            self._changes.catch_up()

    def _find(self, scope_ids: Collection[UUID]) -> dict[UUID, Lookup]:
        found: dict[UUID, Lookup] = {}
        for scope_id in scope_ids:
            if cached := self._cache.get(scope_id):
                found[scope_id] = cached
        if missing := set(scope_ids) - found.keys():
            ticket = self._cache.ticket()
            loaded = self._tree.load(missing)
            self._cache.put(ticket, [key for key in loaded.values() if isinstance(key, ScopeKey)])
            found.update(loaded)
        return found

    def _event_keys(self, fields: Sequence[SealedField]) -> list[tuple[SealedField, SealedValue, bytes | Erased]]:
        sealed = [_parse(field) for field in fields]
        found = self._find({value.scope_id for value in sealed})
        return [
            (field, value, _event_key(field, found.get(value.scope_id)))
            for field, value in zip(fields, sealed, strict=True)
        ]


def _parse(field: SealedField) -> SealedValue:
    part = field.part
    sealed = SealedValue.parse(part.value)
    if sealed.scope_id != part.scope_id or part.subject_id != field.binding.subject_id:
        raise Tampered("a sealed value is not of the scope or person it is said to be of")
    return sealed


def _event_key(field: SealedField, found: Lookup | None) -> bytes | Erased:
    if found is None:
        raise KeyNeverExisted(field.part.scope_id)
    if isinstance(found, Tampered):
        raise found
    if (found.scope.subject_id, found.scope.category) != (field.part.subject_id, field.part.category):
        raise Tampered("a sealed value is not of the scope or person it is said to be of")
    if isinstance(found, ErasedScope):
        return found.erased
    return event_key(found.key, field.binding)
