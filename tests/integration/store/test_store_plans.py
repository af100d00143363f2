"""The plans that a connection made while the tables were small still serve when they are large."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from store_builders import command, event, idempotency, rows, sql

from domain.errors import AlreadyDone
from store.append import AppendCommand
from store.log import EventLog

ROWS = 30_000
COMMANDS = 20
_FILL = {
    "idempotency": f"""
        INSERT INTO idempotency (key, operation, body_mac, mac_key_id, status, answer, position, command_id)
        SELECT 'filled-' || n, 'x', '\\x00', 'x', 200, '{{}}', 0, gen_random_uuid() FROM generate_series(1, {ROWS}) n
        """,
    "events": f"""
        INSERT INTO events (position, event_id, stream_id, version, type, record)
        SELECT 1000000 + n, gen_random_uuid(), gen_random_uuid(), 1, 'Filled', '\\x00'
          FROM generate_series(1, {ROWS}) n
        """,
}


def remembered() -> AppendCommand:
    return command(event(uuid4(), 1), idempotency=idempotency(uuid4().hex))


def append_and_repeat(log: EventLog) -> None:
    """Append a command, send the same once more, and once more under its key as another attempt."""
    first = remembered()
    assert log.append(first) == log.append(first)
    with pytest.raises(AlreadyDone):
        log.append(command(event(uuid4(), 1), idempotency=first.idempotency))


@pytest.mark.parametrize("table", _FILL)
def test_what_an_append_reads_does_not_grow_with_the_table(events_dsn: str, table: str) -> None:
    with EventLog(events_dsn) as log:
        for _ in range(COMMANDS):
            append_and_repeat(log)
        with sql(events_dsn) as cursor:
            cursor.execute(_FILL[table])
        for _ in range(COMMANDS):
            append_and_repeat(log)

    assert 0 < _index_entries_read(events_dsn) < ROWS


def _index_entries_read(dsn: str) -> int:
    """Return how many index entries all connections that have ended read, once that stands still."""
    before, now = -1, 0
    while before != now:
        time.sleep(0.5)
        query = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema()"
        before, now = now, int(rows(dsn, query)[0][0])
    return now
