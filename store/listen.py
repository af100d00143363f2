"""Waits for appends by LISTEN. A notification is only a hint to look: the log itself says what is there."""

from __future__ import annotations

from contextlib import suppress

import psycopg2
from psycopg2.extensions import connection as Connection

from postgres.waiting import readable
from store.connection import connect, unavailable

CHANNEL = "casekeeper_log"


class Listener:
    """One listening connection, used by one thread; opened again when it breaks."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; return whether something may have been appended since the last call.

        True also after (re)connecting, because what happened meanwhile is not known. Raises ``StoreUnavailable``.
        """
        if self._connection is None:
            self._connection = connect(self._dsn, "casekeeper listen")
            self._execute(f"LISTEN {CHANNEL}")
            return True
        if not self._connection.notifies:
            readable([self._connection], timeout)
            try:
                self._connection.poll()
            except psycopg2.Error:
                self.close()
                return True
        seen = bool(self._connection.notifies)
        self._connection.notifies.clear()
        return seen

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _execute(self, sql: str) -> None:
        assert self._connection is not None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
        except psycopg2.Error as error:
            self.close()
            raise unavailable(error) from None
