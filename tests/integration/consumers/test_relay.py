"""The relay: every event on the topic, in order, whatever dies, fails or is lost."""

from __future__ import annotations

import secrets
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from log_copy import LogCopy, record, values

from consumers.batch_producer import BatchProducer
from consumers.clients import producer
from consumers.relay import Relay
from consumers.tail import TopicTail
from domain.errors import KafkaUnavailable, LogGap, StoreUnavailable
from store.append import UnpublishedRecord
from tests.topic_settings import set_topic
from tests.waiting import until

KILLED = Path(__file__).with_name("relay_killed.py")


def test_events_are_on_the_topic_in_order_with_their_headers(log_copy: LogCopy) -> None:
    log_copy.admit()
    events = [record() for _ in range(300)]
    with log_copy.relaying():
        log_copy.append(*events)
        until(lambda: len(log_copy.raw()) == 300)

    messages = log_copy.raw()
    assert [m.value for m in messages] == values(events)
    assert [m.key for m in messages] == [str(e.stream_id).encode() for e in events]
    headers = [dict(m.headers) for m in messages]
    assert [h["ck-position"] for h in headers] == [str(p).encode() for p in range(1, 301)]
    assert {(h["ck-type"], h["ck-schema"]) for h in headers} == {(b"NoticeServed", b"1")}


def test_kafka_python_alone_reads_the_log_in_order(log_copy: LogCopy) -> None:
    log_copy.admit()
    log_copy.append()
    with log_copy.relaying():
        until(lambda: len(log_copy.raw()) == 20)

    consumer = KafkaConsumer(bootstrap_servers=log_copy.settings.kafka, consumer_timeout_ms=2000)
    consumer.assign([TopicPartition(log_copy.topic, 0)])
    consumer.seek_to_beginning()
    read = []
    for message in consumer:
        read.append(int(dict(message.headers)["ck-position"]))
        if len(read) == 20:
            break
    consumer.close()

    assert read == list(range(1, 21))


def test_an_event_is_on_the_topic_soon_after_it_was_appended(log_copy: LogCopy) -> None:
    log_copy.admit()
    reader = log_copy.reader()
    took = []
    with log_copy.relaying():
        log_copy.append(record())
        until(lambda: reader.read(0))
        for position in range(2, 12):
            log_copy.append(record())
            started = time.monotonic()
            assert [published.position for published in reader.read(position - 1, timeout=5.0)] == [position]
            took.append(time.monotonic() - started)
    reader.close()

    assert statistics.median(took) < 0.2


@pytest.mark.parametrize("seam", ["before send", "after send", "after acknowledgement"])
def test_a_relay_killed_at_a_send_leaves_neither_gap_nor_disorder(log_copy: LogCopy, seam: str) -> None:
    log_copy.admit()
    log_copy.append()
    settings = log_copy.settings
    arguments = [settings.events_dsn, settings.kafka, settings.topic_prefix, seam]
    died = subprocess.run([sys.executable, str(KILLED), *arguments], check=False, capture_output=True, timeout=60)
    log_copy.append()
    with log_copy.relaying():
        until(lambda: len(log_copy.read()) == 40)

    assert died.returncode == -signal.SIGKILL
    assert log_copy.read() == log_copy.stored()
    positions = log_copy.positions()
    assert set(positions) == set(range(1, 41))
    assert all(later <= earlier + 1 for earlier, later in pairwise(positions))


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [pytest.param("100", (0, 0, 0), id="whole"), pytest.param("3000", (9000, 0, 0), id="in part")],
)
def test_a_batch_that_the_broker_refuses_leaves_no_gap(log_copy: LogCopy, limit: str, sizes: tuple[int, ...]) -> None:
    producers = []

    class CountingRelay(Relay):
        def producer(self) -> BatchProducer:
            producers.append(1)
            return super().producer()

    log_copy.admit()
    log_copy.append()
    with log_copy.relaying(lambda report: CountingRelay(log_copy.settings, log_copy.log, log_copy.mac, report)):
        until(lambda: len(log_copy.raw()) == 20)
        set_topic(log_copy.settings.kafka, log_copy.topic, max_message_bytes=limit)
        log_copy.append_together(*(record(data={"padding": secrets.token_hex(size // 2)}) for size in sizes))
        until(lambda: len(producers) > 1)
        log_copy.append()
        until(lambda: _read_or_none(log_copy) == log_copy.stored())

    assert log_copy.positions() == list(range(1, 44))


def test_an_acknowledgement_that_is_lost_leaves_no_gap(log_copy: LogCopy) -> None:
    lost = []

    class Deaf(BatchProducer):
        def publish(self, records: Sequence[UnpublishedRecord], still_there: Callable[[], bool]) -> int:
            offset = super().publish(records, still_there)
            if len(lost) < 3:
                lost.append(offset)
                raise StoreUnavailable("the acknowledgement was lost")
            return offset

    class DeafRelay(Relay):
        def producer(self) -> BatchProducer:
            return Deaf(self._settings.kafka, self._topic, self._mac)

    log_copy.admit()
    with log_copy.relaying(lambda report: DeafRelay(log_copy.settings, log_copy.log, log_copy.mac, report)):
        for count in (5, 10, 15, 20):
            log_copy.append(*(record() for _ in range(5)))
            until(lambda count=count: len(log_copy.read()) == count)

    assert len(lost) == 3
    assert log_copy.read() == log_copy.stored()


def test_a_topic_deleted_and_made_anew_is_published_again(log_copy: LogCopy) -> None:
    log_copy.admit()
    log_copy.append()
    with log_copy.relaying():
        until(lambda: len(log_copy.raw()) == 20)
        log_copy.delete_topic()
        until(lambda: _read_or_none(log_copy) == log_copy.stored())
        log_copy.append()
        until(lambda: len(log_copy.read()) == 40)

    assert log_copy.read() == log_copy.stored()
    assert log_copy.positions() == list(range(1, 41))


def test_what_strangers_write_is_set_aside(log_copy: LogCopy) -> None:
    log_copy.admit()
    events = [record() for _ in range(10)]
    with log_copy.relaying():
        log_copy.append(*events[:5])
        until(lambda: len(log_copy.raw()) == 5)
        copied = log_copy.raw()[-1]
        _write(log_copy, b"{}", [])
        _write(log_copy, record().record, [("ck-position", b"6"), ("ck-type", b"NoticeServed"), ("ck-schema", b"1")])
        _write(log_copy, record().record, [*copied.headers])
        forged = [("ck-position", b"6") if name == "ck-position" else (name, value) for name, value in copied.headers]
        _write(log_copy, copied.value, forged, key=copied.key)
        log_copy.append(*events[5:])
        until(lambda: len(log_copy.raw()) == 14)
    with log_copy.relaying() as part:
        log_copy.append(record())
        until(lambda: len(log_copy.raw()) == 15)

    reader = log_copy.reader()
    assert [published.value for published in reader.published()][:10] == values(events)
    assert reader.foreign == 4
    assert part.said.state == "running"
    reader.close()


def test_a_true_record_sent_again_by_a_stranger_changes_nothing(log_copy: LogCopy) -> None:
    log_copy.admit()
    log_copy.append()
    with log_copy.relaying():
        until(lambda: len(log_copy.raw()) == 20)
    again = log_copy.raw()[3]
    _write(log_copy, again.value, list(again.headers), key=again.key)
    log_copy.append()
    with log_copy.relaying():
        until(lambda: len(log_copy.read()) == 40)

    assert log_copy.read() == log_copy.stored()


def test_copies_of_old_records_at_the_end_do_not_hide_how_far_the_topic_goes(log_copy: LogCopy) -> None:
    """More copies, in their order, than are looked at from the end."""
    log_copy.admit()
    log_copy.append(*[record() for _ in range(20)])
    with log_copy.relaying():
        until(lambda: len(log_copy.raw()) == 20)
    old = log_copy.raw()[:10]
    stranger = producer(log_copy.settings.kafka)
    for message in old * 110:
        stranger.send(log_copy.topic, value=message.value, key=message.key, headers=list(message.headers))
    stranger.flush(timeout=30)
    stranger.close(timeout=5)

    tail = TopicTail(log_copy.settings.kafka, log_copy.topic, log_copy.mac)
    bounds = tail.bounds()
    assert bounds is not None
    found = tail.read(bounds)
    tail.close()

    assert (found.position, found.whole) == (20, True)


def test_a_topic_made_anew_under_a_send_is_emptied_and_published_again(log_copy: LogCopy) -> None:
    log_copy.admit()
    log_copy.append()
    late = BatchProducer(log_copy.settings.kafka, log_copy.topic, log_copy.mac)
    late.publish(log_copy.log.unpublished(18, 3))
    late.close()
    with log_copy.relaying():
        until(lambda: len(log_copy.raw()) == 20)

    assert log_copy.positions() == list(range(1, 21))
    assert log_copy.read() == log_copy.stored()


def test_only_one_relay_publishes(log_copy: LogCopy) -> None:
    log_copy.admit()
    other = LogCopy(log_copy.settings)
    with log_copy.relaying() as first:
        until(lambda: first.said.state == "running")
        with other.relaying() as second:
            log_copy.append()
            until(lambda: len(log_copy.raw()) == 20)
            assert second.said.state == "waiting"
    other.close()

    assert log_copy.positions() == list(range(1, 21))


def _write(copy: LogCopy, value: bytes, headers: list[tuple[str, bytes]], key: bytes = b"k") -> None:
    stranger = producer(copy.settings.kafka)
    stranger.send(copy.topic, value=value, key=key, headers=headers).get(timeout=10)
    stranger.close(timeout=5)


def _read_or_none(copy: LogCopy) -> list[bytes] | None:
    try:
        return copy.read()
    except (LogGap, KafkaUnavailable):
        return None
