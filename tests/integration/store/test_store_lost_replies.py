"""A connection that breaks while an append is under way: its true outcome is found, never guessed, never doubled."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from uuid import uuid4

import psycopg2
import pytest
from cutting_proxy import CuttingProxy
from store_builders import command, event, fencing, history, idempotency, rows, stored_ids

from domain.errors import AlreadyDone, ConcurrencyConflict
from store.append import Appended
from store.log import EventLog


@pytest.fixture
def proxy(events_dsn: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(events_dsn)
    yield proxy
    proxy.close()


@pytest.fixture
def shaky(proxy: CuttingProxy) -> Iterator[EventLog]:
    """Give a log behind the proxy, with its connection open already."""
    with EventLog(proxy.dsn) as log:
        log.append(history(uuid4(), 1))
        yield log


@pytest.mark.parametrize("moment", ["before", "waiting", "after"])
def test_the_append_is_done_exactly_once(shaky: EventLog, proxy: CuttingProxy, events_dsn: str, moment: str) -> None:
    cut = history(uuid4(), 2)
    proxy.cut(moment)

    assert shaky.append(cut) == Appended((2, 3))
    assert proxy.happened.is_set()
    stored = stored_ids(events_dsn)
    assert sorted(stored) == [1, 2, 3]
    assert [stored[2], stored[3]] == [e.event_id for e in cut.events]
    assert shaky.append(history(uuid4(), 1)) == Appended((4,))


def test_what_was_committed_is_not_called_a_conflict_when_the_stream_went_on(
    shaky: EventLog, proxy: CuttingProxy, log: EventLog
) -> None:
    stream = uuid4()
    proxy.cut("after", meanwhile=lambda: log.append(command(event(stream, 2))))

    assert shaky.append(history(stream, 1)) == Appended((2,))
    assert [r.version for r in log.read_stream(stream)] == [1, 2]


def test_what_was_not_committed_is_decided_anew(shaky: EventLog, proxy: CuttingProxy, log: EventLog) -> None:
    stream = uuid4()
    lost = history(stream, 1)
    proxy.cut("before", meanwhile=lambda: log.append(history(stream, 1)))

    with pytest.raises(ConcurrencyConflict):
        shaky.append(lost)
    assert [r.event_id for r in log.read_stream(stream)] != [lost.events[0].event_id]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_idempotent_call_knows_its_own_first_attempt(shaky: EventLog, proxy: CuttingProxy, moment: str) -> None:
    proxy.cut(moment)
    assert shaky.append(command(idempotency=idempotency("refusal"))) == Appended(())
    proxy.cut(moment)
    assert shaky.append(command(event(uuid4(), 1), idempotency=idempotency("effect"))) == Appended((2,))

    with pytest.raises(AlreadyDone):
        shaky.append(command(idempotency=idempotency("refusal")))


def test_a_fence_is_made_once(shaky: EventLog, proxy: CuttingProxy, events_dsn: str) -> None:
    scope = uuid4()
    proxy.cut("after")

    assert shaky.append(fencing(scope)) == Appended((2,))
    assert rows(events_dsn, "SELECT fenced_id::text, position FROM fences") == [(str(scope), 2)]


def test_a_query_that_still_waits_at_the_server_when_it_is_sent_again_is_not_done_twice(
    shaky: EventLog, proxy: CuttingProxy, events_dsn: str
) -> None:
    """The head row is held while the client is cut off: both the first and the second query are then let go."""
    cut = history(uuid4(), 1)
    results: list[Appended] = []
    holder = psycopg2.connect(events_dsn)
    holder.cursor().execute("SELECT FROM log_head FOR UPDATE")
    proxy.cut("waiting")
    appending = Thread(target=lambda: results.append(shaky.append(cut)))
    appending.start()
    assert proxy.happened.wait(10)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while rows(events_dsn, waiting) != [(2,)]:
        assert appending.is_alive()
    holder.rollback()
    holder.close()
    appending.join()

    assert results == [Appended((2,))]
    assert sorted(stored_ids(events_dsn)) == [1, 2]


def test_a_connection_ended_by_the_server_is_opened_again(log: EventLog, events_dsn: str) -> None:
    log.append(history(uuid4(), 1))
    others = "datname = current_database() AND starts_with(application_name, 'casekeeper')"
    assert rows(events_dsn, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    assert log.head() == 1
    assert log.append(history(uuid4(), 1)) == Appended((2,))
