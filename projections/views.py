"""Read access to the views: consistent snapshots, and waiting until a view has reached a position."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import ViewBehind, ViewsUnavailable
from postgres.pool import LOOK, Pool
from postgres.waiting import readable
from projections.connection import connect, unavailable
from projections.positions import CHANNEL, positions


class Views:
    """The views' database, for reading; to be shared by the threads of a process.

    Every method raises ``ViewsUnavailable`` when the database cannot be reached or a view was never built.
    """

    def __init__(self, dsn: str, *, size: int = 16) -> None:
        """Take the connection string; up to ``size`` connections are opened, when they are needed."""
        in_use = partial(ViewsUnavailable, "all connections to the views are in use")
        self._pool = Pool(partial(connect, dsn), size, in_use)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Give a connection in a read-only transaction that sees one moment, however many queries it runs."""
        with self._lent("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            try:
                yield connection
            finally:
                with suppress(psycopg2.Error):
                    _run(connection, "ROLLBACK")

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """Give a cursor of :meth:`connection`, as the views' query functions take it."""
        with self.connection() as connection, connection.cursor() as cursor:
            yield cursor

    def positions(self) -> dict[str, int]:
        """Return view → position of the last event it has taken in."""
        with self._lent(LOOK) as connection, connection.cursor() as cursor:
            return positions(cursor)

    def wait_for(self, name: str, position: int, timeout: float) -> None:
        """Return once a view has reached a position; ``timeout`` in seconds. Raises ``ViewBehind`` when it has not."""
        with self._lent(LOOK) as connection:
            if _reached(connection, name) >= position:
                return
            _run(connection, f"LISTEN {CHANNEL}")
            try:
                _await(connection, name, position, time.monotonic() + timeout)
            finally:
                with suppress(psycopg2.Error):
                    _run(connection, f"UNLISTEN {CHANNEL}")
                connection.notifies.clear()

    def pool_use(self) -> tuple[int, int, int]:
        """Return how many connections are lent, how many are open and idle, and how many there can be at most."""
        return self._pool.use()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextmanager
    def _lent(self, first: str) -> Iterator[Connection]:
        try:
            with self._pool.lent(first) as connection:
                yield connection
        except psycopg2.Error as error:
            raise unavailable(error) from None


def _await(connection: Connection, name: str, position: int, deadline: float) -> None:
    """Look, then look again whenever this view was moved: notifications are hints, the row is the truth."""
    while (reached := _reached(connection, name)) < position:
        while not _notified(connection, name):
            left = deadline - time.monotonic()
            if left <= 0:
                raise ViewBehind(name, position, reached)
            readable([connection], left)
            connection.poll()


def _notified(connection: Connection, name: str) -> bool:
    messages = [notification.payload for notification in connection.notifies]
    connection.notifies.clear()
    return any(message.partition(" ")[0] == name for message in messages)


def _reached(connection: Connection, name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT position FROM view_positions WHERE name = %s", (name,))
        row = cursor.fetchone()
        return row[0] if row else 0


def _run(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
