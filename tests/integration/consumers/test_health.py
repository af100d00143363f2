"""What the parts of workers say about themselves, and what is believed of it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from application.settings import Settings
from projections import health


@pytest.fixture
def cursor(settings: Settings) -> Iterator[Cursor]:
    connection = psycopg2.connect(settings.views_dsn)
    connection.autocommit = True
    with connection.cursor() as made:
        yield made
    connection.close()


def states(cursor: Cursor) -> dict[str, tuple[str, str, bool]]:
    return {part.part: (part.state, part.detail_code, part.well) for part in health.parts(cursor)}


def test_before_any_worker_ran_there_is_nothing(cursor: Cursor) -> None:
    assert health.parts(cursor) == ()


def test_the_last_word_counts(cursor: Cursor) -> None:
    health.prepare(cursor)
    health.report(cursor, "relay", "retrying", "KafkaUnavailable")
    health.report(cursor, "people", "halted", "LogGap")
    health.report(cursor, "relay", "running")

    assert states(cursor) == {"relay": ("running", "", True), "people": ("halted", "LogGap", False)}


@pytest.mark.parametrize("state", ["running", "halted"])
def test_one_that_waits_does_not_speak_for_the_one_that_leads(cursor: Cursor, state: str) -> None:
    health.prepare(cursor)
    health.report(cursor, "relay", state)
    health.report(cursor, "relay", "waiting")

    assert states(cursor)["relay"][0] == state


def test_one_not_heard_of_is_not_well_and_may_be_spoken_for(cursor: Cursor) -> None:
    health.prepare(cursor)
    health.report(cursor, "relay", "running")
    cursor.execute("UPDATE process_health SET updated_at = now() - interval '16 seconds'")
    stale = states(cursor)["relay"]
    health.report(cursor, "relay", "waiting")

    assert stale == ("running", "", False)
    assert states(cursor)["relay"][0] == "waiting"
