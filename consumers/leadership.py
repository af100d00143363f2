"""Who of several workers does a thing: the holder of a PostgreSQL advisory lock, on a connection of its own.

The lock is a lease. The connection says something every 2 s, from a thread of its own; where it is silent for 10 s the
server ends it (``idle_session_timeout``), and the lock with it. So a process that is stopped, swapped out or cut off is
replaced, although its connection stays open for as long as its kernel answers for it; and when it wakes, its
connection is dead, which it finds before it does the next thing.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Self

import psycopg2
import psycopg2.extensions

from domain.errors import RetriableError
from postgres.opening import open_connection

LEASE_SECONDS = 10.0
"""A leader that the database has not heard for this long is replaced."""
_BEAT_SECONDS = 2.0


class Leadership:
    """A session-level advisory lock. It ends with its connection, so a leader that dies is replaced.

    ``unavailable``: the error to raise when the database cannot be reached. For one thread.
    """

    def __init__(self, dsn: str, name: str, unavailable: type[RetriableError]) -> None:
        self._dsn = dsn
        self._name = name
        self._unavailable = unavailable
        self._connection: psycopg2.extensions.connection | None = None
        self._released = threading.Event()

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
        self._connection, self._released = connection, threading.Event()
        beats = threading.Thread(target=_beat, args=(connection, self._released), name="lease", daemon=True)
        beats.start()
        return True

    def held(self) -> bool:
        """Return whether the lock is still ours, which it is for as long as its connection lives."""
        if self._connection is None:
            return False
        try:
            _speak(self._connection)
        except psycopg2.Error:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let somebody else lead."""
        if self._connection is not None:
            self._released.set()
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg2.extensions.connection:
        lease = int(LEASE_SECONDS * 1000)
        try:
            connection = open_connection(self._dsn, f"casekeeper lead {self._name}", idle_session_timeout=lease)
        except psycopg2.Error:
            raise self._unavailable("the lock's database cannot be reached") from None
        connection.autocommit = True
        return connection


def _speak(connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _beat(connection: psycopg2.extensions.connection, released: threading.Event) -> None:
    """Keep a lease while its process lives, however long its leader's thread is busy with one thing."""
    while not released.wait(_BEAT_SECONDS):
        try:
            _speak(connection)
        except psycopg2.Error:
            return
