"""Connections to the event store: settings, reuse, and errors that carry no data.

The server's messages can quote values of a row, so none of their text goes into ours: only the SQLSTATE does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg2
import psycopg2.extras
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import parse_dsn

from domain.errors import StoreUnavailable

STATEMENT_TIMEOUT_MS = 10_000
"""Longest that one statement may take at the server, waiting for the head row included."""

T = TypeVar("T")

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
    settings: dict[str, object] = {
        "default_transaction_isolation": r"read\ committed",
        "synchronous_commit": "on",
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_MS,
    }
    try:
        given = parse_dsn(dsn)
        # Ours stand last and so win: a connection string cannot switch durability off.
        options = " ".join([given.get("options", ""), *(f"-c {key}={value}" for key, value in settings.items())])
        given.setdefault("connect_timeout", "5")
        network = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}
        connection = psycopg2.connect(**{**network, **given, "options": options, "application_name": name})
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
    """A few connections shared by the threads of a process; a thread waits when all are in use.

    A read that meets a connection the server has closed meanwhile is run once more on a new one.
    """

    def __init__(self, dsn: str, name: str, size: int) -> None:
        self._dsn = dsn
        self._name = name
        self._size = size
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []

    def read(self, query: Callable[[Cursor], T]) -> T:
        """Run a read-only function of a cursor. Raises ``StoreUnavailable``."""
        with self._free:
            try:
                return self._attempt(query, fresh=False)
            except psycopg2.Error as error:
                if stays_read_only(error):
                    self.close()
                if not lost(error):
                    raise unavailable(error) from None
                self.close()
            try:
                return self._attempt(query, fresh=True)
            except psycopg2.Error as error:
                raise unavailable(error) from None

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Give a cursor in a transaction that commits when the block ends well. Driver errors pass through."""
        with self._free:
            connection = self._begin()
            try:
                with connection.cursor() as cursor:
                    try:
                        yield cursor
                        cursor.execute("COMMIT")
                    except BaseException as error:
                        with suppress(psycopg2.Error):
                            cursor.execute("ROLLBACK")
                        if isinstance(error, psycopg2.Error) and stays_read_only(error):
                            connection.close()
                        raise
            finally:
                self._give(connection)

    def use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._size - self._free._value, len(self._idle), self._size

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _attempt(self, query: Callable[[Cursor], T], *, fresh: bool) -> T:
        connection = self._take(fresh=fresh)
        try:
            with connection.cursor() as cursor:
                return query(cursor)
        finally:
            self._give(connection)

    def _begin(self) -> Connection:
        connection = self._take(fresh=False)
        try:
            connection.cursor().execute("BEGIN")
        except psycopg2.Error:
            self.close()
            connection.close()
            connection = self._take(fresh=True)
            connection.cursor().execute("BEGIN")
        return connection

    def _take(self, *, fresh: bool) -> Connection:
        with suppress(IndexError):
            if not fresh:
                return self._idle.pop()
        return connect(self._dsn, self._name)

    def _give(self, connection: Connection) -> None:
        if connection.closed == 0 and connection.info.transaction_status == 0:
            self._idle.append(connection)
        else:
            connection.close()


def one(cursor: Cursor, sql: str, *values: Any) -> tuple[Any, ...]:
    """Run a query that answers exactly one row and return it."""
    cursor.execute(sql, values)
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise StoreUnavailable("the event store answered no row where one is always there")
    return row
