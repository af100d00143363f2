"""Connections to the keys cluster: settings, a small pool, and errors that carry no data.

The server's messages can quote values of a row, so only the SQLSTATE goes into ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeVar

import psycopg2
import psycopg2.extras
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import parse_dsn

from domain.errors import KeysUnavailable

STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 5_000
IDLE_SESSION_MS = 30_000
POOL_SIZE = 4
STALE_PARENT = "CKV01"
DESTROYED = "CKV02"

_ATTEMPTS = 8
_READ_ONLY = "25006"
_AGAIN = frozenset({STALE_PARENT, DESTROYED, "40P01", "40001"})
"""What a transaction meets when another moved a key under it: it looks again."""

T = TypeVar("T")
Opened = Callable[[Connection], AbstractContextManager[Cursor]]


def connect(dsn: str) -> Connection:
    """Open a connection in autocommit that waits for durable commits, with timeouts. Raises ``KeysUnavailable``."""
    settings: dict[str, object] = {
        "timezone": "UTC",
        "default_transaction_isolation": r"read\ committed",
        "synchronous_commit": "on",
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_MS,
    }
    try:
        given = parse_dsn(dsn)
        options = " ".join([given.pop("options", ""), *(f"-c {key}={value}" for key, value in settings.items())])
        defaults = {"connect_timeout": "5", "application_name": "casekeeper vault", "keepalives_idle": "5"}
        connection = psycopg2.connect(**{**defaults, **given, "options": options})
    except psycopg2.Error as error:
        raise unavailable(error) from None
    connection.autocommit = True
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    return connection


def unavailable(error: psycopg2.Error) -> KeysUnavailable:
    """Return our error for one of the driver's, without the server's text."""
    if error.pgcode is None:
        return KeysUnavailable("the keys cluster cannot be reached")
    return KeysUnavailable(f"the keys cluster refused (SQLSTATE {error.pgcode})")


@contextmanager
def transaction(connection: Connection) -> Iterator[Cursor]:
    """Give a cursor in a transaction that commits when the block ends well. Driver errors pass through."""
    with connection, connection.cursor() as cursor:
        yield cursor


class Connections:
    """A few connections shared by the threads of a process; a thread waits when all are in use.

    Work handed to ``read`` and ``write`` is run again when the connection was lost or another transaction moved a key
    under it, so it must be safe to repeat.
    """

    def __init__(self, dsn: str, size: int = POOL_SIZE) -> None:
        self._dsn = dsn
        self._size = size
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []

    def read(self, work: Callable[[Cursor], T]) -> T:
        """Run queries, each in a transaction of its own. Raises ``KeysUnavailable``."""
        return self._run(work, lambda connection: connection.cursor())

    def write(self, work: Callable[[Cursor], T]) -> T:
        """Run one transaction; it is durable when this returns. Raises ``KeysUnavailable``."""
        return self._run(work, transaction)

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Give one connection for several transactions and advisory locks; the locks end with the block.

        They end, too, when nothing is said for 30 s: a process that is stopped keeps nobody from destroying keys.
        Driver errors pass through, but for ``KeysUnavailable`` when there is no connection to be had.
        """
        with self._free:
            connection = self._take_alive()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"SET idle_session_timeout = {IDLE_SESSION_MS}")
                yield connection
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock_all(); RESET idle_session_timeout")
            except BaseException:
                connection.close()
                raise
            self._give(connection)

    def fresh(self) -> Connection:
        """Return a new connection that is not of the pool; the caller closes it. Raises ``KeysUnavailable``."""
        return connect(self._dsn)

    @property
    def dsn(self) -> str:
        """Return the connection string."""
        return self._dsn

    def use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._size - self._free._value, len(self._idle), self._size

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _run(self, work: Callable[[Cursor], T], opened: Opened) -> T:
        with self._free:
            lost_before = False
            for _ in range(_ATTEMPTS):
                connection = self._take()
                try:
                    with opened(connection) as cursor:
                        return work(cursor)
                except psycopg2.Error as error:
                    lost = connection.closed != 0 or isinstance(error, psycopg2.InterfaceError)
                    if error.pgcode == _READ_ONLY:
                        # The session would go on to refuse when its database takes writes again.
                        connection.close()
                        self.close()
                    if lost_before or not (lost or error.pgcode in _AGAIN):
                        raise unavailable(error) from None
                    if lost:
                        lost_before = True
                        self.close()
                finally:
                    self._give(connection)
            raise KeysUnavailable("keys kept changing under a transaction")

    def _take(self) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        return connect(self._dsn)

    def _take_alive(self) -> Connection:
        connection = self._take()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            connection.close()
            self.close()
            return connect(self._dsn)
        return connection

    def _give(self, connection: Connection) -> None:
        if connection.closed == 0 and connection.info.transaction_status == 0:
            self._idle.append(connection)
        else:
            connection.close()
