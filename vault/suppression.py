"""The suppression list: recognises erased people who are brought in again, and says nothing else about them.

An entry is HMAC-SHA-256 of a text under the key of the year in which it was made. The key is a secret of the keyring
alone; an entry expires with the year after its own, when its key is destroyed: from then on no copy of it, in a page or
a backup, confirms a guess. Until then whoever has an entry *and* the keyring can confirm one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from vault.connections import Connections
from vault.keyring import Keyring
from vault.primitives import hmac_sha256

_PREFIX = "suppression-"
_NAME = re.compile(r"suppression-(\d{4})")


class SuppressionList:
    """Thread-safe. Every method may raise ``KeysUnavailable``: an outage is never "not suppressed".

    ``log_changes`` returns when every change that is committed is in the key change log.
    """

    def __init__(self, connections: Connections, keyring: Keyring, log_changes: Callable[[], None]) -> None:
        self._connections = connections
        self._keyring = keyring
        self._log_changes = log_changes

    def enter(self, texts: Collection[bytes], now: datetime) -> datetime:
        """Enter texts, once however often it is asked for, and return when they expire (UTC).

        They are in the key change log by then, where one is kept: a restored keys cluster recognises them, too.
        """
        year = now.astimezone(UTC).year
        expires_at = _end(year)
        key = self._keyring.secret(f"{_PREFIX}{year}")
        rows = [(hmac_sha256(key, text), expires_at) for text in sorted(set(texts))]

        def insert(cursor: Cursor) -> None:
            execute_values(cursor, "INSERT INTO suppression (mac, expires_at) VALUES %s ON CONFLICT DO NOTHING", rows)

        self._connections.write(insert)
        self._log_changes()
        return expires_at

    def has_any(self, texts: Collection[bytes], now: datetime) -> bool:
        """Return whether any of these texts was entered and has not expired."""
        keys = [self._keyring.secret(name) for name, year in self._kept() if now < _end(year)]
        macs = [hmac_sha256(key, text) for key in keys for text in set(texts)]
        if not macs:
            return False

        def look(cursor: Cursor) -> bool:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM suppression WHERE mac = ANY (%s) AND expires_at > %s)", (macs, now)
            )
            return bool(cursor.fetchone()[0])

        return self._connections.read(look)

    def destroy_expired(self, now: datetime) -> list[str]:
        """Destroy the keys of the years that are over, and their entries; return the keys' names."""
        over = [name for name, year in self._kept() if now >= _end(year)]
        for name in over:
            self._keyring.destroy_secret(name)
        if over:
            self._connections.write(
                lambda cursor: cursor.execute("DELETE FROM suppression WHERE expires_at <= %s", (now,))
            )
            self._log_changes()
        return over

    def _kept(self) -> list[tuple[str, int]]:
        found = (_NAME.fullmatch(name) for name in self._keyring.secrets())
        return [(match[0], int(match[1])) for match in found if match]


def _end(year: int) -> datetime:
    return datetime(year + 2, 1, 1, tzinfo=UTC)
