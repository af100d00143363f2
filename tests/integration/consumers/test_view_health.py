"""Behind and stuck are told apart by evidence: a view that moves, or has read all there is, is only behind."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg2
import pytest
from log_copy import LogCopy, record
from psycopg2.extensions import cursor as Cursor
from tally import Tally, tally, tallying
from test_dead_letters import UNFIT, log_of, views
from test_runner import publish

from projections import health, parking, positions, view_health
from projections.view_health import STUCK_SECONDS, ViewHealth
from tests.waiting import until


class People(Tally):
    """The tally under a name that health knows."""

    name = "people"


@pytest.fixture
def behind(log_copy: LogCopy) -> LogCopy:
    """A copy whose view has taken in 1 of 3 events, and whose part was heard of just now."""
    log_of(log_copy, record(), record(), record())
    connection = psycopg2.connect(log_copy.settings.views_dsn)
    positions.prepare(connection, People())
    with connection, connection.cursor() as cursor:
        positions.advance(cursor, "people", 0, 1)
        health.prepare(cursor)
        health.report(cursor, "people", "running")
    connection.close()
    return log_copy


def state(copy: LogCopy, head: int | None = 3) -> ViewHealth:
    [found] = views(copy, lambda cursor: view_health.look(cursor).against(head))
    return found


def moved(copy: LogCopy, seconds_ago: float) -> None:
    views(copy, lambda c: c.execute("UPDATE view_positions SET updated_at = now() - make_interval(secs => %s)",
                                    (seconds_ago,)))  # fmt: skip


def report(copy: LogCopy, *said: str) -> None:
    views(copy, lambda cursor: health.report(cursor, "people", *said))


LONG_AGO = STUCK_SECONDS + 5


class TestState:
    """Every case by itself."""

    def test_at_the_head_it_is_current_however_long_ago_it_moved(self, behind: LogCopy) -> None:
        moved(behind, 100_000)

        assert (state(behind, head=1).state, state(behind, head=1).lag) == ("current", 0)

    def test_unknown_while_the_head_is(self, behind: LogCopy) -> None:
        moved(behind, LONG_AGO)

        assert (state(behind, head=None).state, state(behind, head=None).lag) == ("unknown", None)

    def test_behind_while_it_moves(self, behind: LogCopy) -> None:
        moved(behind, STUCK_SECONDS - 5)

        assert (state(behind).state, state(behind).lag) == ("behind", 2)

    def test_stuck_once_it_has_not_moved_for_long(self, behind: LogCopy) -> None:
        moved(behind, LONG_AGO)

        assert (state(behind).state, state(behind).lag) == ("stuck", 2)

    def test_behind_while_there_is_nothing_to_read(self, behind: LogCopy) -> None:
        moved(behind, LONG_AGO)
        views(behind, lambda cursor: view_health.note_at_end(cursor, "people"))

        assert state(behind).state == "behind"

    def test_behind_while_kafka_is_away(self, behind: LogCopy) -> None:
        moved(behind, LONG_AGO)
        report(behind, "retrying", "KafkaUnavailable")

        assert (state(behind).state, state(behind).error) == ("behind", "KafkaUnavailable")

    def test_stuck_when_its_database_refuses(self, behind: LogCopy) -> None:
        moved(behind, LONG_AGO)
        report(behind, "retrying", "ViewsUnavailable")

        assert (state(behind).state, state(behind).error) == ("stuck", "ViewsUnavailable")

    def test_stuck_when_nobody_runs_it(self, behind: LogCopy) -> None:
        moved(behind, LONG_AGO)
        report(behind, "retrying", "KafkaUnavailable")
        views(behind, lambda c: c.execute("UPDATE process_health SET updated_at = now() - interval '1 hour'"))

        assert state(behind).state == "stuck"

    def test_halted_at_once(self, behind: LogCopy) -> None:
        report(behind, "halted", "TooManyUnfit")

        assert (state(behind).state, state(behind).error) == ("halted", "TooManyUnfit")


def test_a_view_that_waits_behind_a_lock_is_stuck_and_not_merely_behind(log_copy: LogCopy) -> None:
    log_of(log_copy, record(), record(), record())
    with tallying(log_copy, People()):
        until(lambda: len(tally(log_copy)) == 3)
        until(lambda: views(log_copy, _noted_at_end))
        blocker = psycopg2.connect(log_copy.settings.views_dsn)
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE view_tally IN ACCESS EXCLUSIVE MODE")
            log_copy.append_together(record())
            publish(log_copy, range(4, 5))
            threading.Event().wait(3.0)
            views(log_copy, _age_by_half_a_minute)
            found = state(log_copy, head=4)
        blocker.rollback()
        blocker.close()
        until(lambda: len(tally(log_copy)) == 4)

    assert (found.lag, found.state) == (1, "stuck")
    assert state(log_copy, head=4).state == "current"


def test_a_view_whose_relay_stands_still_is_behind_and_never_stuck(log_copy: LogCopy) -> None:
    log_of(log_copy, record())
    log_copy.append_together(record(), record())
    with tallying(log_copy, People()):
        until(lambda: tally(log_copy) == [1])
        moved(log_copy, LONG_AGO)
        until(lambda: views(log_copy, _noted_at_end))
        found = state(log_copy)

    assert (found.lag, found.state) == (2, "behind")


def test_what_is_set_aside_is_counted(log_copy: LogCopy) -> None:
    first, second, third = (record(data=UNFIT) for _ in range(3))
    log_of(log_copy, first, second, record(stream_id=first.stream_id, version=2), record(), third)
    with tallying(log_copy, People()):
        until(lambda: tally(log_copy) and views(log_copy, positions.positions) == {"people": 5})
    views(log_copy, lambda cursor: parking.discard(cursor, "people", first.stream_id, "uid 7", "OPS-1"))
    found = state(log_copy, head=5)

    assert (found.parked_streams, found.discarded_streams, found.state) == (2, 1, "current")
    assert json.dumps(found.error) == '""'


def _noted_at_end(cursor: Cursor) -> Any:
    cursor.execute("SELECT count(*) FROM view_at_end WHERE at > now() - interval '20 seconds'")
    row = cursor.fetchone()
    return row and row[0]


def _age_by_half_a_minute(cursor: Cursor) -> None:
    age = "now() - make_interval(secs => 31) + (now() - {column}) * 0"
    cursor.execute(f"UPDATE view_positions SET updated_at = {age.format(column='updated_at')}")
    cursor.execute(f"UPDATE view_at_end SET at = {age.format(column='at')}")
