"""Waiting for PostgreSQL to say something, also in a process that has many files open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from domain.errors import ViewBehind
from postgres.waiting import readable
from projections.people import People
from projections.positions import prepare
from projections.views import Views
from store.log import EventLog
from store.migrate import migrate
from tests.file_numbers import occupied
from tests.waiting import until
from vault.holder import LEASE_SECONDS, Holder
from vault.vault import MIGRATIONS


class End:
    """One end of a pipe."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


@pytest.fixture
def pipes() -> Iterator[list[tuple[End, End]]]:
    made = [os.pipe() for _ in range(2)]
    yield [(End(read), End(write)) for read, write in made]
    for number in (number for pipe in made for number in pipe):
        os.close(number)


def test_what_can_be_read_is_told(pipes: list[tuple[End, End]]) -> None:
    (quiet, _), (spoken, write) = pipes
    os.write(write.number, b"x")

    assert readable([quiet, spoken], 10) == [spoken]


def test_the_wait_is_as_long_as_it_may_be_and_no_longer(pipes: list[tuple[End, End]]) -> None:
    (quiet, _), _ = pipes
    started = time.monotonic()

    assert [readable([quiet], seconds) for seconds in (-1.0, 0.0, 0.2001)] == [[], [], []]
    assert 0.2 <= time.monotonic() - started < 5


def test_a_connection_that_the_server_has_ended_ends_the_wait(pg_main: str) -> None:
    with closing(psycopg2.connect(pg_main)) as ended, closing(psycopg2.connect(pg_main)) as other:
        with other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", (ended.info.backend_pid,))

        assert readable([ended], 10) == [ended]


def test_a_view_is_waited_for_past_file_number_1023(pg_main: str, new_database: Callable[..., str]) -> None:
    dsn = new_database(pg_main, "views")
    with closing(psycopg2.connect(dsn)) as owner:
        prepare(owner, People())
    with closing(Views(dsn, size=2)) as views:
        with occupied(), pytest.raises(ViewBehind):
            views.wait_for("people", 1, timeout=0.1)
        with pytest.raises(ViewBehind):
            views.wait_for("people", 1, timeout=0.1)

        with views.connection() as connection:
            assert connection.fileno() >= 1024


def test_an_append_is_waited_for_past_file_number_1023(pg_main: str, new_database: Callable[..., str]) -> None:
    dsn = new_database(pg_main, "store")
    migrate(dsn)
    with EventLog(dsn) as log:
        with occupied():
            assert log.wait_for_append(10), "the first call cannot know what was missed"
            assert not log.wait_for_append(0.1)
        assert not log.wait_for_append(0.1)

        with closing(psycopg2.connect(dsn)) as other, other, other.cursor() as cursor:
            cursor.execute("NOTIFY casekeeper_log")
        assert log.wait_for_append(10)


def test_keys_are_kept_past_file_number_1023(pg_keys: str, new_database: Callable[..., str], tmp_path: Path) -> None:
    dsn = new_database(pg_keys, "keys")
    migrate(dsn, MIGRATIONS)
    holder = Holder(dsn, lambda _: None)
    with occupied():
        holder.start()
        until(holder.leased, 30)
        time.sleep(LEASE_SECONDS)
        until(holder.leased, 10)
    time.sleep(LEASE_SECONDS)
    until(holder.leased, 10)

    started = time.monotonic()
    holder.stop()
    assert time.monotonic() - started < 4, "stopping wakes it"
    with closing(psycopg2.connect(dsn)) as observer, observer, observer.cursor() as cursor:
        cursor.execute("SELECT count(*), count(left_at) FROM key_holder")
        assert cursor.fetchone() == (1, 1)
