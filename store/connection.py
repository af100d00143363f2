"""Connections to the event store: settings, reuse, and errors that carry no data.

The server's messages can quote values of a row, so none of their text goes into ours: only the SQLSTATE does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import psycopg2
import psycopg2.extras
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import StoreUnavailable
from postgres.opening import open_connection
from postgres.pool import LOOK, Pool

STATEMENT_TIMEOUT_MS = 10_000
"""Longest that one statement may take at the server, waiting for the head row included."""

T = TypeVar("T")

_SESSION = {
    "default_transaction_isolation": r"read\ committed",
    "synchronous_commit": "on",
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_MS,
}
_READ_ONLY = "25006"
_REFUSALS = {
    "53100": "disk full",
    "53300": "too many connections",
    _READ_ONLY: "read only",
    "57014": "statement timed out",
    "42501": "permission denied",
    "42883": "not migrated",
    "42P01": "not migrated",
    "28P01": "password refused",
    "3D000": "no such database",
}


def connect(dsn: str, name: str) -> Connection:
    """Open a connection in autocommit, with timeouts, that waits for durable commits. Raises ``StoreUnavailable``."""
    try:
        connection = open_connection(dsn, name, **_SESSION)
    except psycopg2.Error as error:
        raise unavailable(error) from None
    connection.set_client_encoding("UTF8")
    connection.autocommit = True
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    return connection


def unavailable(error: psycopg2.Error) -> StoreUnavailable:
    """Return our error for one of the driver's, without the server's text."""
    state = error.pgcode
    if state is None:
        return StoreUnavailable("the event store cannot be reached")
    return StoreUnavailable(f"the event store refused: {_REFUSALS.get(state, 'error')} (SQLSTATE {state})")


def lost(error: psycopg2.Error) -> bool:
    """Return whether the connection is gone, so that what became of its last statement is unknown."""
    ended_by_server = (error.pgcode or "").startswith("57P")
    return ended_by_server or (error.pgcode is None and not isinstance(error, psycopg2.ProgrammingError))


def stays_read_only(error: psycopg2.Error) -> bool:
    """Return whether the session refuses writes, and would go on to do so when its database takes them again."""
    return str(error.pgcode) == _READ_ONLY


class Connections:
    """A few connections shared by the threads of a process; a thread waits when all are in use, up to 5 s.

    A read that meets a connection the server has closed meanwhile is run once more on a new one.
    """

    def __init__(self, dsn: str, name: str, size: int) -> None:
        in_use = partial(StoreUnavailable, "all connections to the event store are in use")
        self._pool = Pool(partial(connect, dsn, name), size, in_use)

    def read(self, query: Callable[[Cursor], T]) -> T:
        """Run a read-only function of a cursor. Raises ``StoreUnavailable``."""
        try:
            return self._attempt(query)
        except psycopg2.Error as error:
            if stays_read_only(error):
                self.close()
            if not lost(error):
                raise unavailable(error) from None
        try:
            return self._attempt(query, LOOK)
        except psycopg2.Error as error:
            raise unavailable(error) from None

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query answers. Raises ``StoreUnavailable``."""

        def query(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(sql, values)
            return list(cursor)

        return self.read(query)

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Give a cursor in a transaction that commits when the block ends well. Driver errors pass through."""
        with self._pool.lent("BEGIN") as connection, connection.cursor() as cursor:
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException as error:
                with suppress(psycopg2.Error):
                    cursor.execute("ROLLBACK")
                if isinstance(error, psycopg2.Error) and stays_read_only(error):
                    connection.close()
                raise

    def use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._pool.use()

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._pool.close()

    def _attempt(self, query: Callable[[Cursor], T], first: str | None = None) -> T:
        with self._pool.lent(first) as connection, connection.cursor() as cursor:
            return query(cursor)


def one(cursor: Cursor, sql: str, *values: Any) -> tuple[Any, ...]:
    """Run a query that answers exactly one row and return it."""
    cursor.execute(sql, values)
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise StoreUnavailable("the event store answered no row where one is always there")
    return row
