"""The runner of projections: each event once, in order, with its position, whatever dies or is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest
from kafka import KafkaConsumer, TopicPartition
from log_copy import LogCopy, everything, record
from psycopg2.extensions import cursor as Cursor
from tally import Halting, Tally, position, tally, tallying

from consumers.batch_producer import BatchProducer
from consumers.topics import DEADLETTERS
from domain.errors import KeysUnavailable
from projections import parking
from tests.waiting import until

KILLED = Path(__file__).with_name("runner_killed.py")


def publish(copy: LogCopy, *runs: range) -> None:
    """Put runs of the log's positions on the topic, as relays that died and began again would."""
    producer = BatchProducer(copy.settings.kafka, copy.topic, copy.mac)
    for run in runs:
        producer.publish(copy.log.unpublished(run.start, len(run)))
    producer.close()


@pytest.fixture
def forty(log_copy: LogCopy) -> LogCopy:
    """A log of 40 events."""
    log_copy.admit()
    log_copy.append_together(*(record() for _ in range(40)))
    return log_copy


def test_every_event_is_taken_in_once_and_in_order(forty: LogCopy) -> None:
    publish(forty, range(1, 41))
    with tallying(forty):
        until(lambda: len(tally(forty)) == 40)

    assert tally(forty) == list(range(1, 41))
    assert position(forty) == 40


def test_positions_seen_before_are_skipped(forty: LogCopy) -> None:
    publish(forty, range(1, 11), range(6, 21), range(1, 4), range(15, 41))
    with tallying(forty):
        until(lambda: len(tally(forty)) == 40)

    assert tally(forty) == list(range(1, 41))


def test_a_gap_halts_the_view_where_it_is(forty: LogCopy) -> None:
    publish(forty, range(1, 11), range(12, 21))
    with tallying(forty) as part:
        until(lambda: part.said.state == "halted")

    assert part.said.code == "LogGap"
    assert tally(forty) == list(range(1, 11))
    assert position(forty) == 10


@pytest.mark.parametrize("seam", ["between rows and position", "before commit", "after commit"])
def test_a_runner_killed_around_its_commit_takes_nothing_in_twice(forty: LogCopy, seam: str) -> None:
    publish(forty, range(1, 21))
    settings = forty.settings
    arguments = [settings.events_dsn, settings.views_dsn, settings.kafka, settings.topic_prefix, seam]
    died = subprocess.run([sys.executable, str(KILLED), *arguments], check=False, capture_output=True, timeout=60)
    committed = tally(forty)
    publish(forty, range(21, 41))
    with tallying(forty):
        until(lambda: len(tally(forty)) >= 40)

    assert died.returncode == -signal.SIGKILL
    assert committed == (list(range(1, 21)) if seam == "after commit" else [])
    assert tally(forty) == list(range(1, 41))


def test_a_view_carries_on_when_the_topic_is_deleted_and_made_anew(forty: LogCopy) -> None:
    with forty.relaying(), tallying(forty):
        until(lambda: len(tally(forty)) == 40)
        forty.delete_topic()
        forty.append()
        until(lambda: len(tally(forty)) == 60)

    assert tally(forty) == list(range(1, 61))


def test_a_view_carries_on_when_the_new_topic_has_other_offsets(forty: LogCopy) -> None:
    publish(forty, range(1, 31), range(1, 31), range(1, 31))
    with tallying(forty) as part:
        until(lambda: len(tally(forty)) == 30)
        forty.delete_topic()
        with forty.relaying():
            forty.append_together(*(record() for _ in range(160)))
            until(lambda: len(tally(forty)) == 200)

    assert tally(forty) == list(range(1, 201))
    assert part.said.code == ""


def test_one_runner_leads_and_another_takes_over(forty: LogCopy) -> None:
    publish(forty, range(1, 21))
    with tallying(forty) as second_start:
        until(lambda: second_start.said.state == "running")
        with tallying(LogCopy(forty.settings)) as waiting:
            until(lambda: len(tally(forty)) == 20)
            assert waiting.said.state == "waiting"
    with tallying(forty):
        publish(forty, range(21, 41))
        until(lambda: len(tally(forty)) == 40)

    assert tally(forty) == list(range(1, 41))


def test_a_connection_cut_by_the_server_costs_nothing(forty: LogCopy) -> None:
    publish(forty, range(1, 21))
    with tallying(forty):
        until(lambda: len(tally(forty)) == 20)
        _cut_connections(forty)
        publish(forty, range(21, 41))
        until(lambda: len(tally(forty)) == 40)

    assert tally(forty) == list(range(1, 41))


def test_types_a_view_does_not_handle_count_as_taken_in(log_copy: LogCopy) -> None:
    log_copy.admit()
    bad = record(data={"unfit": True})
    log_copy.append_together(record("TaskCompleted"), record(), bad, record("TaskCompleted"), record("TaskCompleted"))
    publish(log_copy, range(1, 6))
    with tallying(log_copy):
        until(lambda: tally(log_copy) and position(log_copy) == 5)

    assert tally(log_copy) == [2]
    assert [parked.stream_id for parked in _views(log_copy, parking.all_parked)] == [bad.stream_id]


class TestParking:
    """A record that does not fit sets its stream aside, and nothing else."""

    @pytest.fixture
    def streams(self, log_copy: LogCopy) -> tuple[LogCopy, UUID, UUID]:
        """A log of two streams, 3 events each in turn; the bad stream's second does not fit."""
        log_copy.admit()
        good, bad = uuid4(), uuid4()
        for version in (1, 2, 3):
            log_copy.append_together(record(stream_id=good, version=version))
            log_copy.append_together(record(stream_id=bad, version=version, data={"unfit": version == 2}))
        publish(log_copy, range(1, 7))
        return log_copy, good, bad

    def test_the_rest_of_its_stream_waits_and_others_go_on(self, streams: tuple[LogCopy, UUID, UUID]) -> None:
        copy, _, bad = streams
        with tallying(copy):
            until(lambda: tally(copy) and position(copy) == 6)

        assert tally(copy) == [1, 2, 3, 5]
        [parked] = _views(copy, parking.all_parked)
        assert (parked.view, parked.stream_id, parked.first_position, parked.records) == ("tally", bad, 4, 2)
        assert parked.reason == "KeyError"

    def test_its_dead_letters_are_the_original_records_in_order(self, streams: tuple[LogCopy, UUID, UUID]) -> None:
        copy, _, bad = streams
        with tallying(copy):
            until(lambda: tally(copy) and position(copy) == 6)
        letters = _dead_letters(copy)

        assert [letter.value for letter in letters] == [copy.stored()[3], copy.stored()[5]]
        assert {letter.key for letter in letters} == {str(bad).encode()}
        headers = dict(letters[0].headers)
        assert headers["ck-error"] == b"RecordUnfit"
        assert headers["ck-where"].startswith(b"consumers/tally.py:")

    def test_a_released_stream_is_taken_in_in_order(self, streams: tuple[LogCopy, UUID, UUID]) -> None:
        copy, _, bad = streams
        mended = Tally()
        with tallying(copy, mended):
            until(lambda: tally(copy) and position(copy) == 6)
            mended.strict = False
            released = _views(copy, lambda cursor: parking.release(cursor, "tally", bad))
            until(lambda: len(tally(copy)) == 6)

        assert released == 2
        assert tally(copy) == [1, 2, 3, 5, 4, 6]
        assert _views(copy, parking.all_parked) == []

    def test_a_stream_released_too_early_is_parked_again(self, streams: tuple[LogCopy, UUID, UUID]) -> None:
        copy, _, bad = streams
        with tallying(copy):
            until(lambda: tally(copy) and position(copy) == 6)
            _views(copy, lambda cursor: parking.release(cursor, "tally", bad))
            until(lambda: _views(copy, lambda cursor: parking.next_released(cursor, "tally")) is None)

        assert tally(copy) == [1, 2, 3, 5]
        assert [parked.records for parked in _views(copy, parking.all_parked)] == [2]

    def test_a_projection_that_parks_nothing_halts(self, streams: tuple[LogCopy, UUID, UUID]) -> None:
        copy, _, _ = streams
        with tallying(copy, Halting()) as part:
            until(lambda: part.said.state == "halted")

        assert part.said.code == "RecordUnfit"
        assert (tally(copy), position(copy)) == ([1, 2, 3], 3)


def test_a_failing_tick_holds_up_no_reading(forty: LogCopy) -> None:
    class Failing(Tally):
        def tick(self, cursor: Cursor) -> None:
            raise KeysUnavailable("the keys cannot be reached")

    publish(forty, range(1, 21))
    with tallying(forty, Failing()) as part:
        until(lambda: part.said.code == "KeysUnavailable")
        publish(forty, range(21, 41))
        until(lambda: len(tally(forty)) == 40)

    assert tally(forty) == list(range(1, 41))


def _views(copy: LogCopy, query):
    connection = psycopg2.connect(copy.settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            return query(cursor)
    finally:
        connection.close()


def _cut_connections(copy: LogCopy) -> None:
    others = "datname = current_database() AND application_name LIKE 'casekeeper%' AND pid <> pg_backend_pid()"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    assert _views(copy, lambda cursor: cursor.execute(cut) or cursor.rowcount) >= 2


def _dead_letters(copy: LogCopy) -> list:
    consumer = KafkaConsumer(bootstrap_servers=copy.settings.kafka, enable_auto_commit=False)
    found = everything(consumer, TopicPartition(copy.settings.topic(DEADLETTERS), 0))
    consumer.close()
    return found
