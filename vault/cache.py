"""Keys kept in one process for a short while, counted from before they were read, and let go of after it.

Time is the clock that runs on while the machine is suspended. A timer clears what has expired even if nobody asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from domain.sealed import KeyScope
from vault import boottime
from vault.tree import ScopeKey


@dataclass(frozen=True)
class Ticket:
    """Taken before keys are read; they are kept only if nothing was dropped since, and expire counted from it."""

    generation: int
    taken: float


class KeyCache:
    """Live data keys by scope id and by scope, each for ``seconds`` at most, used only while ``leased``."""

    def __init__(self, seconds: float, leased: Callable[[], bool] = lambda: True) -> None:
        self._seconds = seconds
        self._leased = leased
        self._lock = threading.Lock()
        self._generation = 0
        self._keys: dict[UUID, tuple[float, ScopeKey]] = {}
        self._ids: dict[KeyScope, UUID] = {}
        self._timer: threading.Timer | None = None

    def ticket(self) -> Ticket:
        """Return a ticket for keys that are about to be read."""
        with self._lock:
            return Ticket(self._generation, boottime.now())

    def get(self, scope_id: UUID) -> ScopeKey | None:
        """Return a key that has not expired."""
        with self._lock:
            self._expire()
            expires, key = self._keys.get(scope_id, (0.0, None))
            return key if expires > boottime.now() and self._leased() else None

    def find(self, scope: KeyScope) -> UUID | None:
        """Return the id of a scope whose key is here."""
        with self._lock:
            self._expire()
            return self._ids.get(scope) if self._leased() else None

    def undisturbed(self, ticket: Ticket, seconds: float) -> bool:
        """Return whether nothing was dropped since the ticket was taken, and this is known.

        Without a lease it is known for as long as a lease would have lasted, in ``seconds``: what is dropped elsewhere
        after the keys were read is waited for that long.
        """
        with self._lock:
            return ticket.generation == self._generation and (self._leased() or boottime.now() < ticket.taken + seconds)

    def put(self, ticket: Ticket, keys: Iterable[ScopeKey]) -> None:
        """Keep keys that were read after the ticket was taken."""
        with self._lock:
            self._expire()
            expires = ticket.taken + self._seconds
            if ticket.generation != self._generation or expires <= boottime.now() or not self._leased():
                return
            for key in keys:
                self._remove(key.scope_id)
                self._keys[key.scope_id] = (expires, key)
                self._ids[key.scope] = key.scope_id
            if self._keys and self._timer is None:
                self._arm(self._seconds)

    def drop(self, subject_ids: Collection[UUID] | None) -> None:
        """Forget the keys of these people, or all; also those that another thread is just reading."""
        with self._lock:
            self._generation += 1
            for scope_id, (_, key) in list(self._keys.items()):
                if subject_ids is None or key.scope.subject_id in subject_ids:
                    self._remove(scope_id)

    def _remove(self, scope_id: UUID) -> None:
        entry = self._keys.pop(scope_id, None)
        if entry:
            self._ids.pop(entry[1].scope, None)

    def _expire(self) -> None:
        """Drop what has expired: keys stand in the order they were put, so the oldest are in front."""
        now = boottime.now()
        while self._keys:
            scope_id = next(iter(self._keys))
            if self._keys[scope_id][0] > now:
                return
            self._remove(scope_id)

    def _arm(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._sweep)
        self._timer.daemon = True
        self._timer.start()

    def _sweep(self) -> None:
        with self._lock:
            self._timer = None
            self._expire()
            if self._keys:
                self._arm(max(0.01, next(iter(self._keys.values()))[0] - boottime.now()))
