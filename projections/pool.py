"""A few read connections shared by the threads of a process, and errors that carry none of the server's text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, parse_dsn
from psycopg2.extensions import connection as Connection

from domain.errors import ViewsUnavailable

STATEMENT_TIMEOUT_MS = 5_000
"""Longest that one query may take at the server."""
CHECKOUT_SECONDS = 5.0
"""Longest that a thread waits for a connection while all are in use."""


class Pool:
    """Connections in autocommit; opened when first needed, one thread at a time each."""

    def __init__(self, dsn: str, size: int) -> None:
        self._dsn = dsn
        self._size = size
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection. Any driver error inside leaves as ``ViewsUnavailable``, without its text."""
        if not self._free.acquire(timeout=CHECKOUT_SECONDS):
            raise ViewsUnavailable("all connections to the views are in use")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give(connection)
        except psycopg2.Error as error:
            raise unavailable(error) from None
        finally:
            self._free.release()

    def use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._size - self._free._value, len(self._idle), self._size

    def close(self) -> None:
        """Close all connections that are not lent."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _take(self) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        given = parse_dsn(self._dsn)
        options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} {given.pop('options', '')}"
        settings = {"connect_timeout": "5", "application_name": "casekeeper views", **given, "options": options}
        connection = psycopg2.connect(**settings)
        connection.autocommit = True
        return connection

    def _give(self, connection: Connection) -> None:
        if connection.closed == 0 and connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
            self._idle.append(connection)
            return
        with suppress(psycopg2.Error):
            connection.close()
        # What ended this connection has likely ended the idle ones too.
        self.close()


def unavailable(error: psycopg2.Error) -> ViewsUnavailable:
    """Return our error for one of the driver's: its SQLSTATE, and nothing of its text."""
    if error.pgcode is None:
        return ViewsUnavailable("the views cannot be reached")
    return ViewsUnavailable(f"the views refused (SQLSTATE {error.pgcode})")
