import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from view_records import ANA, CASE, case_opened, registered, uid

from domain.errors import ViewBehind, ViewsUnavailable
from projections.people import People, person
from projections.views import Views
from projections.worklist import Worklist

CANARY = "canary-7f3a"


@pytest.fixture
def views(views_dsn):
    opened = Views(views_dsn, size=2)
    yield opened
    opened.close()


def listening(connection) -> bool:
    """Whether somebody waits for a view right now: looked, and is idle after it."""
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "
            "AND application_name = 'casekeeper views' AND query LIKE 'SELECT position%'"
        )
        return cursor.fetchone()[0] > 0


def until_listening(connection) -> None:
    deadline = time.monotonic() + 10
    while not listening(connection):
        assert time.monotonic() < deadline, "nobody came to wait"


def test_a_reached_position_is_not_waited_for(feed, views):
    people = feed(People())
    people.take(registered(ANA, uid(10)))
    started = time.monotonic()
    views.wait_for("people", 1, timeout=10)

    assert time.monotonic() - started < 1
    assert views.positions()["people"] == 1


def test_who_waits_is_woken_by_the_commit(feed, views, connect):
    people = feed(People())
    observer = connect()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: (views.wait_for("people", 1, timeout=10), time.monotonic()))
        until_listening(observer)
        people.take(registered(ANA, uid(10)))
        committed = time.monotonic()
        _, woken = waiting.result(timeout=10)

    assert woken - committed < 1


def test_the_moves_of_other_views_do_not_end_the_wait(feed, views, connect):
    people, worklist = feed(People()), feed(Worklist())
    people.take(registered(ANA, uid(10)))
    observer = connect()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(views.wait_for, "people", 2, 0.5)
        until_listening(observer)
        worklist.take(case_opened(CASE, ANA), case_opened(uid(3), ANA), case_opened(uid(4), ANA))
        with pytest.raises(ViewBehind) as behind:
            waiting.result(timeout=10)

    assert (behind.value.view, behind.value.wanted, behind.value.reached) == ("people", 2, 1)


def test_the_wait_for_a_view_nobody_runs_is_bounded(feed, views):
    feed(People())
    with pytest.raises(ViewBehind):
        views.wait_for("nobody_runs_this", 1, timeout=0.05)


def test_many_waits_leave_no_connection_behind(feed, views):
    people = feed(People())
    people.take(registered(ANA, uid(10)))
    for _ in range(5):
        with pytest.raises(ViewBehind):
            views.wait_for("people", 99, timeout=0.01)
    with views.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'casekeeper views' AND datname = current_database()"
        )
        assert cursor.fetchone()[0] <= 2
        cursor.execute("SELECT count(*) FROM pg_listening_channels()")
        assert cursor.fetchone()[0] == 0


def test_a_read_sees_one_moment_however_long_it_takes(feed, views):
    people = feed(People())
    with views.cursor() as cursor:
        assert person(cursor, UUID(ANA)) is None
        people.take(registered(ANA, uid(10)))
        assert person(cursor, UUID(ANA)) is None
    with views.cursor() as cursor:
        assert person(cursor, UUID(ANA))["id"] == ANA


def test_nothing_can_be_written_through_read_access(feed, views):
    people = feed(People())
    people.take(registered(ANA, uid(10)))
    with pytest.raises(ViewsUnavailable, match="25006"), views.cursor() as cursor:
        cursor.execute("DELETE FROM view_people")

    with views.cursor() as cursor:
        assert person(cursor, UUID(ANA)) is not None


def test_errors_carry_none_of_the_servers_text(views):
    with pytest.raises(ViewsUnavailable) as failed, views.cursor() as cursor:
        cursor.execute("SELECT %s::integer", (CANARY,))

    shown = "".join(traceback.format_exception(failed.value))
    assert "22P02" in str(failed.value)
    assert CANARY not in str(failed.value)
    assert "invalid input syntax" not in shown


def test_a_view_that_was_never_built_is_unavailable(pg_main, new_database):
    empty = Views(new_database(pg_main, "empty"))
    try:
        with pytest.raises(ViewsUnavailable, match="42P01"):
            empty.positions()
        with pytest.raises(ViewsUnavailable, match="42P01"):
            empty.wait_for("people", 1, timeout=1)
    finally:
        empty.close()


def test_an_unreachable_database_is_unavailable():
    unreachable = Views(f"host=127.0.0.1 port=1 user={CANARY} password={CANARY} dbname={CANARY}")
    with pytest.raises(ViewsUnavailable) as failed:
        unreachable.positions()

    assert str(failed.value) == "the views cannot be reached"


def test_connections_that_the_server_ended_are_replaced_unnoticed(feed, views, connect):
    feed(People())
    with views.connection(), views.connection():
        pass
    with connect() as observer, observer.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'casekeeper views' AND datname = current_database()"
        )
        assert cursor.rowcount == 2

    assert views.positions()["people"] == 0
    with views.cursor() as cursor:
        cursor.execute("SELECT 1")
