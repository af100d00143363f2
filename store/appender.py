"""Commits a batch in one call and finds out what became of it when the reply is lost."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from domain.errors import AlreadyDone, OutcomeUnknown, StoreUnavailable
from store.append import AppendCommand, Appended, AppendResult
from store.batch import APPEND, Row, arguments, results
from store.connection import connect, lost, one, stays_read_only, unavailable
from store.head_file import HeadFile

RESOLVE_SECONDS = 15.0
"""How long a batch of unknown outcome is looked up before its callers are told so."""
_UNNOTED = "the head file of this machine cannot be written"


class Appender:
    """One connection that appends; used by one thread at a time.

    A batch whose reply was lost is sent again: the server looks every command up by its event ids and attempt id
    under the head row, so the second call finds what the first one did, or does it, and never does it twice.
    """

    def __init__(self, dsn: str, heads: Path | None) -> None:
        self._dsn = dsn
        self._heads = heads
        self._head_file: HeadFile | None = None
        self._connection: Connection | None = None
        self._at_least = 0

    def commit(self, commands: Sequence[AppendCommand]) -> list[AppendResult]:
        """Append the commands and return a result each: ``StoreUnavailable`` among them where it was."""
        decided: dict[int, AppendResult] = {}
        while waiting := [n for n in range(len(commands)) if n not in decided]:
            for n, result in zip(waiting, self._transaction([commands[n] for n in waiting]), strict=True):
                if result is not None:
                    decided[n] = result
        done = {n: position for n, result in decided.items() if (position := _done_at(result))}
        try:
            self._note(max(done.values(), default=0))
        except OSError:
            decided |= {n: OutcomeUnknown(_UNNOTED) for n in done}
        return [decided[n] for n in range(len(commands))]

    def close(self) -> None:
        """Close the connection and the head file."""
        self._drop()
        if self._head_file:
            self._head_file.close()
            self._head_file = None

    def _transaction(self, commands: Sequence[AppendCommand]) -> list[AppendResult | None]:
        try:
            return results(commands, self._send(commands))
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            if len(commands) == 1:
                return [unavailable(error)]
            return [self._transaction([command])[0] for command in commands]
        except psycopg2.Error as error:
            if stays_read_only(error):
                self._drop()
            return [unavailable(error) for _ in commands]
        except StoreUnavailable as error:
            return [copy.copy(error) for _ in commands]

    def _send(self, commands: Sequence[AppendCommand]) -> list[Row]:
        """Send until there is a reply. Raises ``StoreUnavailable``, and ``OutcomeUnknown`` once a reply was lost."""
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
                reason = unavailable(error)
                if lost(error):
                    unknown = True
                elif not unknown or isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
                    raise
                else:
                    give_up = 0.0
                self._drop()
            except StoreUnavailable as error:
                if not unknown:
                    raise
                reason = error
            if time.monotonic() > give_up:
                raise OutcomeUnknown(str(reason)) from None
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _open(self) -> Connection:
        if self._connection is None:
            connection = connect(self._dsn, "casekeeper append")
            try:
                self._read_noted(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _read_noted(self, connection: Connection) -> None:
        """Learn what was acknowledged on this machine. Raises ``StoreUnavailable`` where that cannot be known."""
        if self._heads is None:
            return
        try:
            if self._head_file is None:
                with connection.cursor() as cursor:
                    self._head_file = HeadFile(self._heads, one(cursor, "SELECT log_id FROM log_head")[0])
            self._at_least = max(self._at_least, self._head_file.position() or 0)
        except OSError:
            raise StoreUnavailable(_UNNOTED) from None

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _note(self, position: int) -> None:
        if position > self._at_least:
            self._at_least = self._head_file.raise_to(position) if self._head_file else position


def _done_at(result: AppendResult) -> int | None:
    """Return the last position that a result acknowledges, of this append or of the one that it repeats."""
    if isinstance(result, Appended):
        return result.positions[-1] if result.positions else None
    return result.position if isinstance(result, AlreadyDone) else None
