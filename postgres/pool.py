"""A few connections shared by the threads of a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

CHECKOUT_SECONDS = 5.0
"""Longest that a thread waits for a connection while all are in use."""
LOOK = "SELECT 1"
"""A first statement that only finds out whether a connection lives."""


class Pool:
    """Connections that ``connect`` opens when they are needed, up to ``size``; each is lent to one thread at a time.

    ``in_use`` makes the error for a thread that has waited too long.
    """

    def __init__(self, connect: Callable[[], Connection], size: int, in_use: Callable[[], Exception]) -> None:
        self._connect = connect
        self._size = size
        self._in_use = in_use
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []

    @contextmanager
    def lent(self, first: str | None = None) -> Iterator[Connection]:
        """Lend a connection; what is not fit to be lent again afterwards is closed. Driver errors pass through.

        ``first`` is run before; where the server has ended a connection while it was idle, it is run on a new one.
        """
        if not self._free.acquire(timeout=CHECKOUT_SECONDS):
            raise self._in_use()
        try:
            connection = self._take(first)
            try:
                yield connection
            finally:
                self._give(connection)
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

    def _take(self, first: str | None) -> Connection:
        with suppress(IndexError):
            idle = self._idle.pop()
            with suppress(psycopg2.Error):
                return _begun(idle, first)
            self.close()
        return _begun(self._connect(), first)

    def _give(self, connection: Connection) -> None:
        if connection.closed == 0 and connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
            self._idle.append(connection)
            return
        connection.close()
        # What ended this connection has likely ended the idle ones too.
        self.close()


def _begun(connection: Connection, first: str | None) -> Connection:
    try:
        if first is not None:
            with connection.cursor() as cursor:
                cursor.execute(first)
    except psycopg2.Error:
        connection.close()
        raise
    return connection
