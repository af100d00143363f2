"""What callers are told when the database cannot be reached or does not take writes, and how they wait for appends."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from psycopg2.extensions import make_dsn, parse_dsn
from store_builders import history, rows

from domain.errors import StoreUnavailable
from store.log import EventLog


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": "1"}, "cannot be reached"),
        ({"dbname": "canary_db"}, "cannot be reached"),
        ({"password": "canary-password"}, "cannot be reached"),
        ({"host": "host.invalid"}, "cannot be reached"),
    ],
)
def test_a_store_that_cannot_be_reached_says_so_and_nothing_else(
    events_dsn: str, change: dict[str, str], said: str
) -> None:
    with EventLog(make_dsn(events_dsn, **change)) as log:
        for call in (log.head, lambda: log.append(history(uuid4(), 1)), lambda: log.wait_for_append(0.1)):
            with pytest.raises(StoreUnavailable, match=said) as refused:
                call()
            printed = "".join(traceback.format_exception(refused.value))
            assert "canary" not in printed
            assert "host.invalid" not in printed


def test_a_read_only_store_is_read_but_not_written(log: EventLog, events_dsn: str) -> None:
    log.append(history(uuid4(), 2))
    options = f"{parse_dsn(events_dsn)['options']} -cdefault_transaction_read_only=on"

    with EventLog(make_dsn(events_dsn, options=options)) as reading:
        with pytest.raises(StoreUnavailable, match=r"read only \(SQLSTATE 25006\)"):
            reading.append(history(uuid4(), 1))
        assert reading.head() == 2


def test_a_store_without_its_tables_says_that_it_is_not_migrated(
    pg_main: str, new_database: Callable[..., str]
) -> None:
    with EventLog(new_database(pg_main, "empty")) as log:
        for call in (log.head, lambda: log.append(history(uuid4(), 1))):
            with pytest.raises(StoreUnavailable, match="not migrated"):
                call()


def test_a_closed_log_takes_no_more(events_dsn: str) -> None:
    log = EventLog(events_dsn)
    log.append(history(uuid4(), 1))
    log.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        log.append(history(uuid4(), 1))


def test_waiting_ends_with_an_append_by_another_process(log: EventLog, events_dsn: str) -> None:
    assert log.wait_for_append(30), "the first call cannot know what was missed"
    assert not log.wait_for_append(0.05)

    with EventLog(events_dsn) as other, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(log.wait_for_append, 30)
        started = time.monotonic()
        other.append(history(uuid4(), 1))

        assert waiting.result()
        assert time.monotonic() - started < 10
    assert not log.wait_for_append(0.05)


def test_a_listener_that_lost_its_connection_looks_again(log: EventLog, events_dsn: str) -> None:
    log.wait_for_append(0)
    assert rows(
        events_dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        "'casekeeper listen' AND datname = current_database()",
    )

    assert any(log.wait_for_append(10) for _ in range(3))
    while log.wait_for_append(0.05):
        continue
    with EventLog(events_dsn) as other:
        other.append(history(uuid4(), 1))
    assert log.wait_for_append(10)


def test_more_readers_than_connections_take_turns(events_dsn: str) -> None:
    with EventLog(events_dsn, readers=2) as log, ThreadPoolExecutor(12) as threads:
        log.append(history(uuid4(), 3))

        assert [len(page) for page in threads.map(lambda _: log.read_from(1, 10), range(60))] == [3] * 60
        held = "application_name = 'casekeeper read' AND datname = current_database()"
        assert rows(events_dsn, f"SELECT count(*) <= 2 FROM pg_stat_activity WHERE {held}") == [(True,)]
