"""A batch that the client library gave up, and holes on the topic: none stays, and none is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from kafka.errors import KafkaTimeoutError

from consumers.batch_producer import BatchProducer
from consumers.relay import Relay
from domain.errors import KafkaUnavailable, LogGap
from tests.integration.consumers.log_copy import LogCopy, record
from tests.waiting import until


class Dropping(BatchProducer):
    """The library gives up the batches it has gathered, as when their time is over, and stays fit for further ones."""

    drops = 1

    def confirm(self, still_there: Callable[[], bool]) -> None:
        if self.drops:
            self.drops -= 1
            self._producer._accumulator.abort_undrained_batches(KafkaTimeoutError("the batch's time is over"))
        super().confirm(still_there)


class DroppingRelay(Relay):
    """A relay each of whose producers drops its first batch, until ``left`` have."""

    left = 3

    def producer(self) -> BatchProducer:
        kind = Dropping if self.left > 0 else BatchProducer
        self.left -= 1
        return kind(self._settings.kafka, self._topic, self._mac)


def publish(log_copy: LogCopy, kind: type[BatchProducer], *runs: tuple[int, int]) -> None:
    """Publish runs of positions, one after the other with one producer, as a relay that asks nothing would."""
    producer = kind(log_copy.settings.kafka, log_copy.topic, log_copy.mac)
    for first, last in runs:
        with suppress(KafkaUnavailable):
            producer.publish(log_copy.log.unpublished(first, last - first + 1))
    producer.close()


def test_a_batch_that_the_library_dropped_leaves_no_gap(log_copy: LogCopy) -> None:
    relays: list[DroppingRelay] = []

    def make(report) -> DroppingRelay:
        relays.append(DroppingRelay(log_copy.settings, log_copy.log, log_copy.mac, report))
        return relays[-1]

    with log_copy.relaying(make):
        for _ in range(16):
            log_copy.append(*(record() for _ in range(5)))
            time.sleep(0.15)
        until(lambda: len(log_copy.raw()) == 80)

    assert relays[0].left < 0
    assert log_copy.positions() == list(range(1, 81))
    assert [message.offset for message in log_copy.raw()] == list(range(80)), "a hole was there, and was mended"
    assert log_copy.read() == log_copy.stored()


def test_the_library_goes_on_after_a_dropped_batch_and_the_next_relay_mends_the_hole(log_copy: LogCopy) -> None:
    log_copy.append()
    publish(log_copy, Dropping, (1, 5), (6, 20))
    without_a_start = log_copy.positions()
    with log_copy.relaying():
        until(lambda: log_copy.positions() == list(range(1, 21)))
    log_copy.append()
    publish(log_copy, BatchProducer, (21, 25))
    publish(log_copy, Dropping, (26, 30), (31, 40))
    with pytest.raises(LogGap):
        log_copy.read()
    with log_copy.relaying():
        until(lambda: log_copy.positions() == list(range(1, 41)))

    assert without_a_start == list(range(6, 21)), "the library sent what came after the batch it dropped"
    assert log_copy.read() == log_copy.stored()


def test_a_hole_far_from_the_end_is_found_by_counting_offsets(log_copy: LogCopy) -> None:
    """Further from the end than the relay reads: 6 positions are missing between two thirds of the records."""
    log_copy.append_together(*(record() for _ in range(2400)))
    publish(log_copy, BatchProducer, (1, 600), (607, 1200), (1201, 1800), (1801, 2400))
    with log_copy.relaying():
        until(lambda: log_copy.positions() == list(range(1, 2401)))

    assert log_copy.read() == log_copy.stored()
