"""Connections to the keys cluster: settings, a small pool, and errors that carry no data.

The server's messages can quote values of a row, so only the SQLSTATE goes into ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

import psycopg2
import psycopg2.extras
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import KeysUnavailable
from postgres.opening import open_connection
from postgres.pool import Pool

STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 5_000
IDLE_SESSION_MS = 30_000
POOL_SIZE = 4
STALE_PARENT = "CKV01"
DESTROYED = "CKV02"

_SESSION = {
    "timezone": "UTC",
    "default_transaction_isolation": r"read\ committed",
    "synchronous_commit": "on",
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "lock_timeout": LOCK_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_MS,
}
_ATTEMPTS = 8
_READ_ONLY = "25006"
_AGAIN = frozenset({STALE_PARENT, DESTROYED, "40P01", "40001"})
"""What a transaction meets when another moved a key under it: it looks again."""

T = TypeVar("T")
Opened = Callable[[Connection], AbstractContextManager[Cursor]]


def connect(dsn: str) -> Connection:
    """Open a connection in autocommit that waits for durable commits, with timeouts. Raises ``KeysUnavailable``."""
    try:
        connection = open_connection(dsn, "casekeeper vault", **_SESSION)
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
    """A few connections shared by the threads of a process; a thread waits when all are in use, up to 5 s.

    Work handed to ``read`` and ``write`` is run again when the connection was lost or another transaction moved a key
    under it, so it must be safe to repeat.
    """

    def __init__(self, dsn: str, size: int = POOL_SIZE) -> None:
        self._dsn = dsn
        in_use = partial(KeysUnavailable, "all connections to the keys cluster are in use")
        self._pool = Pool(partial(connect, dsn), size, in_use)

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
        Raises ``KeysUnavailable``, also for driver errors of the block.
        """
        try:
            with self._pool.lent(f"SET idle_session_timeout = {IDLE_SESSION_MS}") as connection:
                try:
                    yield connection
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT pg_advisory_unlock_all(); RESET idle_session_timeout")
                except BaseException:
                    connection.close()
                    raise
        except psycopg2.Error as error:
            raise unavailable(error) from None

    def fresh(self) -> Connection:
        """Return a new connection that is not of the pool; the caller closes it. Raises ``KeysUnavailable``."""
        return connect(self._dsn)

    @property
    def dsn(self) -> str:
        """Return the connection string."""
        return self._dsn

    def use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._pool.use()

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._pool.close()

    def _run(self, work: Callable[[Cursor], T], opened: Opened) -> T:
        lost_before = False
        for _ in range(_ATTEMPTS):
            with self._pool.lent() as connection:
                try:
                    with opened(connection) as cursor:
                        return work(cursor)
                except psycopg2.Error as error:
                    lost = connection.closed != 0 or isinstance(error, psycopg2.InterfaceError)
                    if error.pgcode == _READ_ONLY:
                        # The session would go on to refuse when its database takes writes again.
                        connection.close()
                    if lost_before or not (lost or error.pgcode in _AGAIN):
                        raise unavailable(error) from None
                    lost_before = lost
        raise KeysUnavailable("keys kept changing under a transaction")
