"""Who of several workers does a thing: the holder of a PostgreSQL advisory lock, on a connection of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

import psycopg2
import psycopg2.extensions

from domain.errors import RetriableError


class Leadership:
    """A session-level advisory lock. It ends with its connection, so a leader that dies is replaced.

    ``unavailable``: the error to raise when the database cannot be reached. For one thread.
    """

    def __init__(self, dsn: str, name: str, unavailable: type[RetriableError]) -> None:
        self._dsn = dsn
        self._name = name
        self._unavailable = unavailable
        self._connection: psycopg2.extensions.connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> bool:
        """Return whether this is the leader now, becoming it if nobody is. Raises the database's error."""
        if self._connection is not None:
            return self.held()
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"casekeeper:{self._name}",))
                row = cursor.fetchone()
        except psycopg2.Error:
            connection.close()
            raise self._unavailable("the lock's database cannot be reached") from None
        if row is None or not row[0]:
            connection.close()
            return False
        self._connection = connection
        return True

    def held(self) -> bool:
        """Return whether the lock is still ours, which it is for as long as its connection lives."""
        if self._connection is None:
            return False
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let somebody else lead."""
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg2.extensions.connection:
        network = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}
        try:
            given = psycopg2.extensions.parse_dsn(self._dsn)
            given.setdefault("connect_timeout", "5")
            connection = psycopg2.connect(**{**network, **given, "application_name": f"casekeeper lead {self._name}"})
        except psycopg2.Error:
            raise self._unavailable("the lock's database cannot be reached") from None
        connection.autocommit = True
        return connection
