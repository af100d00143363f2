"""Commits a batch in one call and finds out what became of it when the reply is lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from domain.errors import StoreUnavailable
from store.append import AppendCommand, Appended
from store.batch import APPEND, Outcome, Row, arguments, outcomes
from store.connection import connect, lost, one, unavailable
from store.head_file import HeadFile

RESOLVE_SECONDS = 15.0
"""How long a batch of unknown outcome is looked up before its callers are told that the store is unavailable."""


class Appender:
    """One connection that appends; used by one thread.

    A batch whose reply was lost is sent again: the server looks every command up by its event ids and attempt id
    under the head row, so the second call finds what the first one did, or does it, and never does it twice.
    """

    def __init__(self, dsn: str, heads: Path | None) -> None:
        self._dsn = dsn
        self._heads = heads
        self._head_file: HeadFile | None = None
        self._connection: Connection | None = None
        self._at_least = 0

    def commit(self, commands: Sequence[AppendCommand]) -> list[Outcome]:
        """Append the commands and return an outcome each. Raises ``StoreUnavailable``."""
        decided: dict[int, Outcome] = {}
        while waiting := [n for n in range(len(commands)) if n not in decided]:
            for n, outcome in zip(waiting, self._transaction([commands[n] for n in waiting]), strict=True):
                if outcome is not None:
                    decided[n] = outcome
        appended = (outcome.positions for outcome in decided.values() if isinstance(outcome, Appended))
        self._note(max((positions[-1] for positions in appended if positions), default=0))
        return [decided[n] for n in range(len(commands))]

    def close(self) -> None:
        """Close the connection and the head file."""
        self._drop()
        if self._head_file:
            self._head_file.close()
            self._head_file = None

    def _transaction(self, commands: Sequence[AppendCommand]) -> list[Outcome | None]:
        try:
            return outcomes(commands, self._send(commands))
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            if len(commands) == 1:
                return [unavailable(error)]
            return [self._transaction([command])[0] for command in commands]
        except psycopg2.Error as error:
            raise unavailable(error) from None

    def _send(self, commands: Sequence[AppendCommand]) -> list[Row]:
        give_up = time.monotonic() + RESOLVE_SECONDS
        unknown = False
        pause = 0.01
        while True:
            try:
                with self._open().cursor() as cursor:
                    cursor.execute(APPEND, arguments(self._at_least, commands))
                    rows: list[Row] = cursor.fetchall()
                    return rows
            except psycopg2.Error as error:
                if not lost(error):
                    raise
                unknown = True
                self._drop()
                if time.monotonic() > give_up:
                    raise unavailable(error) from None
            except StoreUnavailable:
                if not unknown or time.monotonic() > give_up:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._dsn, "casekeeper append")
            if self._heads and not self._head_file:
                with self._connection.cursor() as cursor:
                    self._head_file = HeadFile(self._heads, one(cursor, "SELECT log_id FROM log_head")[0])
            if self._head_file:
                self._at_least = max(self._at_least, self._head_file.position() or 0)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _note(self, position: int) -> None:
        if position > self._at_least:
            self._at_least = self._head_file.raise_to(position) if self._head_file else position
