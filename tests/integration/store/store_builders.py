"""Commands for tests, and the database's own account of what is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg2
from psycopg2.extensions import cursor as Cursor

from store.append import AppendCommand, Fence, Idempotency, NewEvent

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def event(stream: UUID, version: int, *, event_id: UUID | None = None, record: bytes | None = None) -> NewEvent:
    event_id = event_id or uuid4()
    return NewEvent(event_id, stream, version, "NoteAdded", record or json.dumps({"event_id": str(event_id)}).encode())


def command(*events: NewEvent, **relied_on: Any) -> AppendCommand:
    return AppendCommand(events, **relied_on)


def history(stream: UUID, length: int) -> AppendCommand:
    return command(*(event(stream, version) for version in range(1, length + 1)))


def fencing(fenced_id: UUID, kind: str = "scope") -> AppendCommand:
    return command(event(uuid4(), 1), fences=(Fence(fenced_id, kind, uuid4(), AT),))


def idempotency(key: str, body: bytes = b"body", *, answer: Any = None, mac_key_id: str = "day-1") -> Idempotency:
    return Idempotency(key, "add_note", hashlib.sha256(body).digest(), mac_key_id, 201, answer or {"id": "n1"})


@contextmanager
def sql(dsn: str) -> Iterator[Cursor]:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def rows(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with sql(dsn) as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def stored_ids(dsn: str) -> dict[int, UUID]:
    return {position: UUID(text) for position, text in rows(dsn, "SELECT position, event_id::text FROM events")}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls in a thread each, started together; return what each returned or raised."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
