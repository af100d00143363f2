"""The log: append to it, read it, wait for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

import psycopg2

from domain.errors import LogDiverged, StoreUnavailable
from store.append import (
    AppendCommand,
    Appended,
    Fence,
    Idempotency,
    IdempotentAnswer,
    NewEvent,
    StoredRecord,
    UnpublishedRecord,
)
from store.appender import Appender
from store.batch import REFILL, REMEMBER, refill_arguments, remember_arguments, uuids
from store.connection import Connections, one, unavailable
from store.group_commit import GroupCommit
from store.head_file import HeadFile
from store.listen import Listener

_COLUMNS = "position, event_id, stream_id, version, type, record"


@dataclass(frozen=True)
class Admission:
    """Whether this incarnation of the database takes writes. It changes with every restart, restore and failover."""

    incarnation: str
    admitted: bool
    head: int


class EventLog:
    """The door to the event store for all threads of one process. Open it after forking.

    ``heads``: folder of the head files (see ``store.head_file``); ``readers``: connections for reading; ``committed``
    is told after each batch of appends how many commands it had.
    Every method raises ``StoreUnavailable`` when the database cannot be reached.
    """

    def __init__(
        self,
        dsn: str,
        *,
        heads: Path | None = None,
        readers: int = 4,
        committed: Callable[[int], None] = lambda _commands: None,
    ) -> None:
        self._dsn = dsn
        self._heads = heads
        self._reads = Connections(dsn, "casekeeper read", readers)
        self._appender = Appender(dsn, heads)
        self._group_commit = GroupCommit(self._appender.commit, committed)
        self._listener = Listener(dsn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, command: AppendCommand) -> Appended:
        """Append a command's events and return their positions once they are durable.

        Raises ``ConcurrencyConflict``, ``Fenced``, ``AlreadyDone``, ``IdempotencyKeyReused``; ``StoreUnavailable``
        also when writes are not admitted; ``OutcomeUnknown`` when it could not be learnt in time whether they were
        stored (then call again with the same command: what was stored is recognised).
        """
        if not command.events and command.idempotency is None:
            return Appended(())
        return self._group_commit.append(command)

    def read_stream(self, stream_id: UUID, after_version: int = 0) -> list[StoredRecord]:
        """Return a stream's records with a version above ``after_version``, in order."""
        where = "stream_id = %s AND version > %s ORDER BY version"
        return self._records(where, (str(stream_id), after_version))

    def read_from(self, position: int, limit: int) -> list[StoredRecord]:
        """Return at most ``limit`` records from ``position`` on, in order and without gaps."""
        return self._records("position >= %s ORDER BY position LIMIT %s", (position, limit))

    def find(self, types: Sequence[str], identifier: UUID) -> list[StoredRecord]:
        """Return the records of these types that name an identifier anywhere, in order. Reads the whole log."""
        where = "type = ANY (%s) AND position(%s::bytea IN record) > 0 ORDER BY position"
        return self._records(where, (list(types), str(identifier).encode()))

    def unpublished(self, position: int, limit: int, size: int = sys.maxsize) -> list[UnpublishedRecord]:
        """Return at most ``limit`` records from ``position`` on, like :meth:`read_from`, as they are published.

        The record with which they come to ``size`` bytes is the last one.
        """
        sql = (
            "SELECT position, stream_id::text, type, record FROM (SELECT position, stream_id, type, record, "
            "sum(octet_length(record)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(record) "
            "AS before FROM events WHERE position >= %s ORDER BY position LIMIT %s) AS page "
            "WHERE before < %s ORDER BY position"
        )
        rows = self._reads.rows(sql, (position, limit, size))
        return [UnpublishedRecord(p, key.encode(), kind, bytes(record)) for p, key, kind, record in rows]

    def fingerprints(self, first: int, last: int) -> dict[int, tuple[UUID, bytes]]:
        """Return event id and SHA-256 of the record for each position from ``first`` to ``last``."""
        sql = "SELECT position, event_id, sha256(record) FROM events WHERE position BETWEEN %s AND %s"
        rows = self._reads.rows(sql, (first, last))
        return {position: (event_id, bytes(digest)) for position, event_id, digest in rows}

    def head(self) -> int:
        """Return the position of the last event, 0 when there is none."""
        return int(self._reads.read(lambda cursor: one(cursor, "SELECT position FROM log_head"))[0])

    def log_id(self) -> UUID:
        """Return what names this log; a restored copy has the same."""
        return UUID(str(self._reads.read(lambda cursor: one(cursor, "SELECT log_id FROM log_head"))[0]))

    def fenced(self, fenced_ids: Iterable[UUID]) -> dict[UUID, Fence]:
        """Return the fences that exist for any of these people and key scopes."""
        sql = "SELECT fenced_id, kind, certificate_id, at FROM fences WHERE fenced_id = ANY (%s::uuid[])"
        return {row[0]: Fence(*row) for row in self._reads.rows(sql, (uuids(fenced_ids),))}

    def fences_after(self, fenced_id: UUID | None, limit: int) -> list[Fence]:
        """Return at most ``limit`` fences in the order of what they fence, behind one of them or from the start."""
        sql = (
            "SELECT fenced_id, kind, certificate_id, at FROM fences "
            "WHERE %s::uuid IS NULL OR fenced_id > %s::uuid ORDER BY fenced_id LIMIT %s"
        )
        after = str(fenced_id) if fenced_id else None
        return [Fence(*row) for row in self._reads.rows(sql, (after, after, limit))]

    def find_idempotent(self, key: str) -> IdempotentAnswer | None:
        """Return what is remembered under an idempotency key."""
        sql = "SELECT operation, body_mac, mac_key_id, status, answer, position FROM idempotency WHERE key = %s"
        found = [
            IdempotentAnswer(operation, bytes(mac), mac_key_id, status, json.loads(answer), position)
            for operation, mac, mac_key_id, status, answer, position in self._reads.rows(sql, (key,))
        ]
        return found[0] if found else None

    def wait_for_append(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; return whether to look again. For one thread at a time."""
        return self._listener.wait(timeout)

    def admission(self) -> Admission:
        """Return whether writes are admitted, for which incarnation, and the head."""
        sql = "SELECT log_incarnation(), admitted_for IS NOT DISTINCT FROM log_incarnation(), position FROM log_head"
        return Admission(*self._reads.read(lambda cursor: one(cursor, sql)))

    def noted_head(self) -> int | None:
        """Return the highest position acknowledged on this machine, ``None`` when nothing was noted here."""
        if self._heads is None:
            return None
        noted = HeadFile(self._heads, self.log_id())
        try:
            return noted.position()
        finally:
            noted.close()

    def admit_writes(self, incarnation: str, at_least: int) -> None:
        """Admit writes for an incarnation whose head is known to be whole up to ``at_least``.

        Raises ``StoreUnavailable`` when the database was restarted meanwhile, or its head is below ``at_least`` or
        below what was acknowledged on this machine.
        """
        known = max(at_least, self.noted_head() or 0)
        sql = "SELECT admit_writes(%s, %s)"
        if not self._reads.read(lambda cursor: one(cursor, sql, incarnation, known))[0]:
            raise StoreUnavailable(f"writes not admitted: restarted meanwhile, or head below known position {known}")

    def refill(
        self,
        position: int,
        events: Sequence[NewEvent],
        fences: Sequence[tuple[UUID, Fence]],
        outcomes: Sequence[tuple[UUID, Idempotency]] = (),
    ) -> None:
        """Copy events back from the topic at their own positions, the first one at ``position``.

        ``fences`` and ``outcomes``: each with the id of the event it follows from. Only while writes are not admitted.
        Raises ``LogDiverged`` when an event's id is stored elsewhere or its stream does not continue with it.
        """
        try:
            with self._reads.transaction() as cursor:
                cursor.execute(REFILL, refill_arguments(position, events, fences))
                cursor.execute(REMEMBER, remember_arguments(outcomes))
        except psycopg2.IntegrityError:
            raise LogDiverged(position) from None
        except psycopg2.Error as error:
            raise unavailable(error) from None

    def pool_use(self) -> tuple[int, int, int]:
        """Return how many reading connections are lent, how many open and idle, and how many there can be at most."""
        return self._reads.use()

    def close(self) -> None:
        """Finish waiting appends and close all connections."""
        self._group_commit.close()
        self._appender.close()
        self._listener.close()
        self._reads.close()

    def _records(self, where: str, values: tuple[object, ...]) -> list[StoredRecord]:
        rows = self._reads.rows(f"SELECT {_COLUMNS} FROM events WHERE {where}", values)  # noqa: S608
        return [StoredRecord(p, event, stream, v, t, bytes(record)) for p, event, stream, v, t, record in rows]
