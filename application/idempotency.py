"""Idempotency records without personal data: keyed MACs of key and body, under keys that never leave the keyring.

The body's MAC key is destroyed when the day after its own is over, so that a record can confirm no guess about a body
after that. From then on a repeat is told by its key and operation: a publisher of the inbox, which is known by its
signature and chose a random id for one message, gets its first answer; everybody else is told that the call was done.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from application.caller import Caller
from domain.errors import AlreadyDone, DoneLongAgo, IdempotencyKeyReused
from domain.record import encode
from store.append import Idempotency, IdempotentAnswer
from vault.vault import LONGEST_CACHE_SECONDS, Vault

_DAY_KEY = "body-mac-"


class IdempotencyKeys:
    """Makes and compares the records of repeated calls."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._keeping = threading.Lock()
        self._kept: dict[str, tuple[float, bytes]] = {}

    def key(self, caller: Caller, key: str) -> str:
        """Return the stored form of a caller's key: an HMAC, since the key is the caller's own text."""
        # On the inbox the publisher owns its message ids, whoever it speaks for.
        owner = "" if caller.producer == "inbox" else caller.id
        text = encode({"issuer": caller.issuer, "id": owner, "key": key})
        return hmac.digest(self._secret("idempotency-key"), text, "sha256").hex()

    def day(self, now: datetime) -> str:
        """Return the name of the day's body MAC key."""
        return f"{_DAY_KEY}{now:%Y-%m-%d}"

    def body_mac(self, mac_key_id: str, operation: str, ids: Mapping[str, UUID], body: Any) -> bytes:
        """Return the HMAC of what was asked for."""
        text = encode({"operation": operation, "ids": {k: str(v) for k, v in ids.items()}, "body": body})
        return hmac.digest(self._secret(mac_key_id), text, "sha256")

    def _secret(self, name: str) -> bytes:
        """Return a MAC key, read from the keyring again after as long as data keys are cached."""
        read_at = time.monotonic()
        with self._keeping:
            expires, key = self._kept.get(name, (0.0, b""))
        if expires <= read_at:
            key = self._vault.secret(name)
            with self._keeping:
                self._kept = {n: kept for n, kept in self._kept.items() if kept[0] > read_at}
                self._kept[name] = (read_at + LONGEST_CACHE_SECONDS, key)
        return key

    def record(
        self,
        stored_key: str,
        now: datetime,
        operation: str,
        ids: Mapping[str, UUID],
        body: Any,
        status: int,
        answer: Any,
    ) -> Idempotency:
        """Return the record to append with a command; ``answer`` holds identifiers only."""
        day = self.day(now)
        return Idempotency(stored_key, operation, self.body_mac(day, operation, ids, body), day, status, answer)

    def raise_if_known(
        self, found: IdempotentAnswer | None, caller: Caller, operation: str, ids: Mapping[str, UUID], body: Any
    ) -> None:
        """Raise :class:`AlreadyDone` for the same call again, :class:`IdempotencyKeyReused` for another one.

        Raises :class:`DoneLongAgo` where that can no longer be told, but for a message of the inbox.
        """
        if found is None:
            return
        if found.operation != operation:
            raise IdempotencyKeyReused("the idempotency key was used before for another call")
        if found.mac_key_id not in self._vault.secrets():
            if caller.producer != "inbox":
                raise DoneLongAgo("the call under this key was done; with which body can no longer be told")
        elif not hmac.compare_digest(found.body_mac, self.body_mac(found.mac_key_id, operation, ids, body)):
            raise IdempotencyKeyReused("the idempotency key was used before with another body")
        raise AlreadyDone(found.status, found.answer, found.position)

    def destroy_old(self, clock: Callable[[], datetime]) -> list[str]:
        """Destroy the body MAC keys of all days but yesterday, today and tomorrow; return their names.

        The keys are listed before the clock is asked: a process that stood still does not know those made meanwhile.
        """
        names = self._vault.secrets()
        now = clock()
        kept = {self.day(now + timedelta(days=days)) for days in (-1, 0, 1)}
        old = [name for name in names if name.startswith(_DAY_KEY) and name not in kept]
        for name in old:
            with self._keeping:
                self._kept.pop(name, None)
            self._vault.destroy_secret(name)
        return old
