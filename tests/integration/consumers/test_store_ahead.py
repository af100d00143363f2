"""Reading ahead of the relay: everything, in order, in memory that does not depend on how large the records are."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
from log_copy import LogCopy, record, values

from consumers.store_ahead import PAGE, StoreAhead
from store.log import EventLog

READING = Path(__file__).with_name("store_ahead_read.py")
LARGE, COUNT = 500 * 1024, 600
MIB = 1024
"""In KiB."""


def fill(copy: LogCopy, size: int, count: int, after: int = 0) -> None:
    """Store records of ``size`` bytes, each its position's MD5 again and again."""
    connection = psycopg2.connect(copy.settings.events_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events (position, event_id, stream_id, version, type, record) "
            "SELECT n, gen_random_uuid(), gen_random_uuid(), 1, 'NoticeServed', "
            "convert_to(repeat(md5(n::text), %s), 'UTF8') FROM generate_series(%s, %s) n",
            (size // 32, after + 1, after + count),
        )
    connection.close()


def content(position: int, size: int) -> bytes:
    return hashlib.md5(str(position).encode(), usedforsecurity=False).hexdigest().encode() * (size // 32)


def index_entries_read(copy: LogCopy) -> int:
    """Return how many entries of the log's indexes were read by connections that have ended, once that stands still."""
    connection = psycopg2.connect(copy.settings.events_dsn)
    connection.autocommit = True
    before, now = -1, 0
    with connection.cursor() as cursor:
        while before != now:
            time.sleep(0.5)
            cursor.execute("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema()")
            before, now = now, int(cursor.fetchall()[0][0])
    connection.close()
    return now


def test_large_records_come_whole_and_in_order_in_little_memory(log_copy: LogCopy) -> None:
    fill(log_copy, LARGE, COUNT)
    done = subprocess.run(
        [sys.executable, str(READING), log_copy.settings.events_dsn], check=True, capture_output=True, timeout=300
    )
    said = json.loads(done.stdout)

    wanted = [[n, hashlib.sha256(content(n, LARGE)).hexdigest()] for n in range(1, COUNT + 1)]
    assert said["came"] == wanted
    assert said["grown_kib"] < 64 * MIB, f"{said['grown_kib'] // MIB} MiB"


def test_pages_cut_by_size_and_by_number_follow_one_another(log_copy: LogCopy) -> None:
    """More small records than a page has, then large ones, then small ones again."""
    fill(log_copy, 320, PAGE + 500)
    fill(log_copy, LARGE, 30, after=PAGE + 500)
    fill(log_copy, 320, PAGE, after=PAGE + 530)
    ahead = StoreAhead(log_copy.log)
    came: list[int] = []
    while batch := ahead.batch(len(came) + 1):
        came += [read.position for read in batch]
    ahead.close()

    assert came == list(range(1, 2 * PAGE + 531))


def test_each_record_is_looked_up_once(log_copy: LogCopy) -> None:
    count = 20 * PAGE
    fill(log_copy, 320, count)
    before = index_entries_read(log_copy)
    with EventLog(log_copy.settings.events_dsn) as log:
        ahead, came = StoreAhead(log), 0
        while batch := ahead.batch(came + 1):
            came += len(batch)
        ahead.close()

    assert came == count
    assert count <= index_entries_read(log_copy) - before < 1.05 * count


def test_what_is_appended_after_the_last_page_comes_with_the_next_call(log_copy: LogCopy) -> None:
    log_copy.admit()
    events = [record() for _ in range(4)]
    log_copy.append(*events[:2])
    ahead = StoreAhead(log_copy.log)
    first = ahead.batch(1)
    log_copy.append(*events[2:])
    second = ahead.batch(3)
    ahead.close()

    assert [read.record for read in (*first, *second)] == values(events)


def test_a_page_ends_with_the_record_that_fills_it(log_copy: LogCopy) -> None:
    fill(log_copy, 320, 10)
    positions = {
        size: [read.position for read in log_copy.log.unpublished(3, 5, size)] for size in (1, 320, 321, 640, 10_000)
    }

    assert positions == {1: [3], 320: [3], 321: [3, 4], 640: [3, 4], 10_000: [3, 4, 5, 6, 7]}
