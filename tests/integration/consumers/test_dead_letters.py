"""A record that does not fit sets its stream aside, whatever is wrong with it; too many stop the view instead."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from hostile import MARK, Stranger, logged, signed
from kafka import KafkaConsumer, TopicPartition
from log_copy import LogCopy, everything, record, running
from psycopg2.extensions import cursor as Cursor
from tally import Halting, Tally, position, sources, tally, tallying
from test_runner import publish

from consumers.dead_letters import DeadLetters
from consumers.released import Released
from consumers.runner import ProjectionRunner
from consumers.set_aside import SetAside
from consumers.topics import DEADLETTERS, EVENTS
from domain.errors import PositionMoved, ViewsUnavailable
from domain.record import Record
from projections import parking, positions
from projections.forget import Forget
from store.append import NewEvent
from tests.waiting import until

UNFIT = {"unfit": True, "name": MARK}


def views(copy: LogCopy, query: Any) -> Any:
    connection = psycopg2.connect(copy.settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            return query(cursor)
    finally:
        connection.close()


def parked(copy: LogCopy) -> list[tuple[UUID, int, int, str]]:
    found = views(copy, parking.all_parked)
    return [(stream.stream_id, stream.first_position, stream.records, stream.reason) for stream in found]


def letters(copy: LogCopy) -> list[Any]:
    consumer = KafkaConsumer(bootstrap_servers=copy.settings.kafka, enable_auto_commit=False)
    found = everything(consumer, TopicPartition(copy.settings.topic(DEADLETTERS), 0))
    consumer.close()
    return found


def log_of(copy: LogCopy, *events: NewEvent) -> LogCopy:
    """Append events in one command and publish them."""
    copy.admit()
    copy.append_together(*events)
    publish(copy, range(1, len(events) + 1))
    return copy


def changed(event: NewEvent, **fields: Any) -> bytes:
    return json.dumps({**json.loads(event.record), **fields}).encode()


GOOD = record()
NO_RECORDS: dict[str, bytes] = {
    "no JSON": MARK.encode(),
    "nothing": b"",
    "no UTF-8": b"\xff\xfe{}",
    "a list": json.dumps([MARK]).encode(),
    "no fields": b"{}",
    "brackets": b"[" * 100_000,
    "an id that is a number": changed(GOOD, event_id=5),
    "a stream that is a list": changed(GOOD, stream_id=[]),
    "another stream": changed(GOOD, stream_id=str(uuid4())),
    "another type": changed(GOOD, type="CaseOpened"),
    "data that is a list": changed(GOOD, data=[MARK]),
    "no time": changed(GOOD, occurred_at=MARK),
}


OF_GOOD = str(GOOD.stream_id).encode()


class Reading(Tally):
    """Takes everything in, and looks at all there is in a record."""

    def apply(self, cursor: Cursor, record: Any) -> None:
        _ = (record.event_id, record.occurred_at, record.data.get("language"))
        super().apply(cursor, record)


def put_signed(copy: LogCopy, stranger: Stranger, at: int, value: bytes) -> None:
    """Publish bytes as the record of :data:`GOOD`'s stream, with the relay's code."""
    key, headers = signed(copy, at, value, GOOD.stream_id)
    stranger.put(EVENTS, value, key, headers)


@pytest.fixture
def relay_gone_wrong(log_copy: LogCopy) -> Any:
    """Give ``put(position, value)``: publishes any bytes with the relay's code."""
    stranger = Stranger(log_copy.settings)
    yield lambda at, value: put_signed(log_copy, stranger, at, value)
    stranger.close()


class TestWhatIsNoRecord:
    """Bytes that carry the relay's code and are no record park the stream that their key names."""

    @pytest.mark.parametrize("names", [list(NO_RECORDS)[:6], list(NO_RECORDS)[6:]], ids=["bytes", "fields"])
    def test_each_is_parked_with_its_stream_and_the_others_go_on(self, log_copy: LogCopy, names: list[str]) -> None:
        stranger = Stranger(log_copy.settings)
        streams = {name: uuid4() for name in names}
        for number, (name, stream_id) in enumerate(streams.items()):
            good, value = record(), NO_RECORDS[name].replace(OF_GOOD, str(stream_id).encode())
            for at, text, stream in ((1, value, stream_id), (2, good.record, good.stream_id)):
                key, headers = signed(log_copy, 2 * number + at, text, stream)
                stranger.put(EVENTS, text, key, headers)
        stranger.close()
        with logged() as log, tallying(log_copy, Reading()) as part:
            until(lambda: tally(log_copy) == [2, 4, 6, 8, 10, 12])
            until(lambda: position(log_copy) == 12)

        assert part.said.code == ""
        found = {stream: (first, count, reason[-5:]) for stream, first, count, reason in parked(log_copy)}
        assert found == {streams[name]: (2 * n + 1, 1, "Error") for n, name in enumerate(names)}
        assert MARK not in log.getvalue()

    def test_a_projection_that_parks_nothing_halts_right_before_it(
        self, log_copy: LogCopy, relay_gone_wrong: Any
    ) -> None:
        before = [record(stream_id=GOOD.stream_id, version=n) for n in (1, 2)]
        for at, event in enumerate(before, 1):
            relay_gone_wrong(at, event.record)
        relay_gone_wrong(3, b"{}")
        with tallying(log_copy, Halting()) as part:
            until(lambda: part.said.state == "halted")

        assert (part.said.code, tally(log_copy), position(log_copy)) == ("RecordUnfit", [1, 2], 2)
        assert parked(log_copy) == []

    def test_a_record_that_names_no_stream_halts(self, log_copy: LogCopy) -> None:
        stranger = Stranger(log_copy.settings)
        key, headers = signed(log_copy, 1, b"{}", "no stream")
        stranger.put(EVENTS, b"{}", key, headers)
        stranger.close()
        with tallying(log_copy) as part:
            until(lambda: part.said.state == "halted")

        assert (part.said.code, position(log_copy), parked(log_copy)) == ("RecordUnfit", 0, [])


class Port:
    """Carries nothing out."""

    def fence(self, *_: Any) -> None:
        """Do nothing."""

    destroy = certify = fence


@pytest.mark.parametrize(
    "value",
    [b"{", changed(GOOD, type="ErasureApproved", data={}), changed(GOOD, type="ErasureApproved", data=[MARK]),
     changed(GOOD, type="ErasureApproved", data={"request_id": MARK})],
    ids=["no record", "no request", "data is a list", "the request is no id"],
)  # fmt: skip
def test_forgetting_never_parks(log_copy: LogCopy, value: bytes) -> None:
    stranger = Stranger(log_copy.settings)
    key, headers = signed(log_copy, 1, value, GOOD.stream_id, "ErasureApproved")
    stranger.put(EVENTS, value, key, headers)
    stranger.close()
    with logged() as log, tallying(log_copy, Forget(Port())) as part:
        until(lambda: part.said.state == "halted")

    assert part.said.code == "RecordUnfit"
    assert views(log_copy, positions.positions) == {"forget": 0}
    assert views(log_copy, parking.all_parked) == []
    assert letters(log_copy) == []
    assert MARK not in log.getvalue()


class TestOrder:
    """The stream waits whole; nothing else does."""

    def test_a_page_is_parted_at_streams_that_are_set_aside(self, log_copy: LogCopy) -> None:
        bad = uuid4()
        events = [record(stream_id=bad, data=UNFIT)]
        for version in range(2, 30):
            events += [record(), record(), record(stream_id=bad, version=version), record("TaskCompleted")]
        log_of(log_copy, *events)
        with tallying(log_copy):
            until(lambda: tally(log_copy) and position(log_copy) == len(events))

        of_bad = [n for n, event in enumerate(events, 1) if event.stream_id == bad]
        others = [n for n, e in enumerate(events, 1) if e.stream_id != bad and e.type == "NoticeServed"]
        assert tally(log_copy) == others
        assert parked(log_copy) == [(bad, 1, 29, "KeyError")]
        assert [int(dict(letter.headers)["ck-source"].rpartition(b"/")[2]) for letter in letters(log_copy)] == of_bad

    def test_released_records_are_taken_in_as_far_as_they_fit(self, log_copy: LogCopy) -> None:
        bad = uuid4()
        unfit = {1: {"unfit": True}, 3: {"unfit": True, "language": "en"}}
        log_of(log_copy, *(record(stream_id=bad, version=n, data=unfit.get(n)) for n in range(1, 6)), record())

        class Mended(Tally):
            def apply(self, cursor: Cursor, record: Any) -> None:
                self.strict = "language" in record.data
                super().apply(cursor, record)

        with tallying(log_copy):
            until(lambda: tally(log_copy) == [6])
        views(log_copy, lambda cursor: parking.release(cursor, "tally", bad))
        with tallying(log_copy, Mended()):
            until(lambda: parked(log_copy) == [(bad, 3, 3, "KeyError")])

        assert tally(log_copy) == [6, 1, 2]
        assert not views(log_copy, parking.all_parked)[0].released

    def test_a_released_record_that_is_none_is_parked_again(self, log_copy: LogCopy, relay_gone_wrong: Any) -> None:
        relay_gone_wrong(1, b"[" * 100_000)
        with tallying(log_copy) as part:
            until(lambda: tally(log_copy) == [] and position_or_none(log_copy) == 1)
            views(log_copy, lambda cursor: parking.release(cursor, "tally", GOOD.stream_id))
            until(lambda: not views(log_copy, parking.all_parked)[0].released)
            until(lambda: part.said.state == "running")

        assert parked(log_copy) == [(GOOD.stream_id, 1, 1, "RecursionError")]

    def test_nothing_is_put_back_into_a_view_that_is_being_built_anew(self, log_copy: LogCopy) -> None:
        bad = uuid4()
        log_of(log_copy, record(stream_id=bad, data=UNFIT), record())
        with tallying(log_copy):
            until(lambda: tally(log_copy) == [2])
        connection = psycopg2.connect(log_copy.settings.views_dsn)
        views(log_copy, lambda cursor: parking.release(cursor, "tally", bad))
        positions.prepare(connection, Tally(), rebuild=True)
        lax = Tally()
        lax.strict = False
        with pytest.raises(PositionMoved):
            Released(lax, SetAside("tally", sources(log_copy).dead_letters)).take(connection, 2)
        connection.close()

        assert tally(log_copy) == []


def position_or_none(copy: LogCopy) -> int | None:
    return views(copy, lambda c: c.execute("SELECT to_regclass('view_tally')") or c.fetchone()[0]) and position(copy)


class TestOutages:
    """What the server or Kafka refuses is nobody's dead letter."""

    def test_without_kafka_nothing_is_parked(self, log_copy: LogCopy) -> None:
        log_of(log_copy, record(), record(data=UNFIT))
        nowhere = DeadLetters("127.0.0.1:9", log_copy.settings.topic(DEADLETTERS))
        cut = replace(sources(log_copy), dead_letters=nowhere)
        with running("tally", lambda report: ProjectionRunner(Tally(), cut, report).run) as part:
            until(lambda: part.said.code == "KafkaUnavailable")

        assert (tally(log_copy), position(log_copy), parked(log_copy)) == ([1], 1, [])

    def test_a_database_that_takes_no_writes_is_not_the_records_fault(self, log_copy: LogCopy) -> None:
        connection = psycopg2.connect(log_copy.settings.views_dsn)
        forget = Forget(Port())
        positions.prepare(connection, forget)
        connection.set_session(readonly=True)
        approved = changed(GOOD, type="ErasureApproved", data={"request_id": str(uuid4())})
        with pytest.raises(ViewsUnavailable), connection, connection.cursor() as cursor:
            forget.apply(cursor, Record.parse(1, approved))
        connection.close()


def test_the_place_told_is_where_the_record_was_met(log_copy: LogCopy) -> None:
    class Failing(Tally):
        def apply(self, cursor: Cursor, record: Any) -> None:
            if record.data.get("unfit"):
                _ = record.data["absent"]
            super().apply(cursor, record)

    log_of(log_copy, record(data={"unfit": True}), record())
    with tallying(log_copy, Failing()):
        until(lambda: tally(log_copy) == [2])
    [letter] = letters(log_copy)

    assert dict(letter.headers)["ck-where"].startswith(b"consumers/test_dead_letters.py:")
    [stream] = views(log_copy, parking.all_parked)
    assert stream.place == dict(letter.headers)["ck-where"].decode()
