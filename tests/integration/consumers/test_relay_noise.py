"""Strangers' records at an end of the events topic: the relay reads past them, doctor says that they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
from kafka.record.default_records import DefaultRecordBatch
from log_copy import MAC_KEY, LogCopy, record
from raw_batches import LZ4, batch, put
from raw_batches import record as raw_record

import vault
from application import metrics
from application.settings import Settings
from cli.checks.finding import Finding
from cli.checks.kafka import relay
from consumers.clients import producer
from consumers.published import Published, RecordMac
from consumers.tail import TopicTail
from domain.errors import KafkaUnavailable
from store.migrate import migrate
from tests.waiting import until
from vault.vault import Vault

EVENTS = 20
GLANCE = 64_000


class CountingMac(RecordMac):
    """Counts what is read: each record is verified once every time it comes."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.read = 0

    def verified(self, message: Any) -> Published | None:
        self.read += 1
        return super().verified(message)


def strew(copy: LogCopy, count: int) -> None:
    """Append tiny records that the relay did not write, in a few batches."""
    stranger = producer(copy.settings.kafka, linger_ms=1_000, batch_size=1024 * 1024)
    for _ in range(count):
        stranger.send(copy.topic, value=b"n", key=b"k")
    stranger.flush(timeout=60)
    stranger.close(timeout=5)


def publish(copy: LogCopy, count: int = EVENTS) -> None:
    copy.append(*(record() for _ in range(count)))
    with copy.relaying():
        until(lambda: len(copy.read()) == copy.log.head())


@pytest.mark.parametrize("noise", [1_001, 10_000])
def test_the_end_of_the_topic_is_found_behind_noise_in_linear_time(log_copy: LogCopy, noise: int) -> None:
    log_copy.admit()
    publish(log_copy)
    strew(log_copy, noise)
    mac = CountingMac(MAC_KEY)
    tail = TopicTail(log_copy.settings.kafka, log_copy.topic, mac)
    bounds = tail.bounds()
    assert bounds is not None
    found = tail.read(bounds)
    tail.close()

    assert bounds.end == EVENTS + noise
    assert (found.position, found.whole) == (EVENTS, True)
    assert mac.read < 2 * noise + 1_000


def test_what_follows_noise_is_published(log_copy: LogCopy) -> None:
    log_copy.admit()
    publish(log_copy)
    strew(log_copy, 5_000)
    publish(log_copy)

    assert log_copy.read() == log_copy.stored()


def test_noise_is_read_at_each_start_until_the_topic_is_deleted(log_copy: LogCopy) -> None:
    log_copy.admit()
    publish(log_copy)
    strew(log_copy, 5_000)
    publish(log_copy)
    assert [read_at_a_start(log_copy) > 5_000 for _ in range(2)] == [True, True]

    with log_copy.relaying():
        log_copy.delete_topic()
        until(lambda: length(log_copy) == 2 * EVENTS)
    assert log_copy.read() == log_copy.stored()
    assert read_at_a_start(log_copy) < 1_000


def read_at_a_start(copy: LogCopy) -> int:
    """Return how many records a relay reads to compare store and topic."""
    copy.mac = mac = CountingMac(MAC_KEY)
    copy.close_admission()
    with copy.relaying():
        until(lambda: copy.log.admission().admitted)
    return mac.read


def length(copy: LogCopy) -> int | None:
    """Return how many records the topic has, ``None`` where there is none."""
    tail = TopicTail(copy.settings.kafka, copy.topic, copy.mac)
    try:
        bounds = tail.bounds()
    except KafkaUnavailable:
        return None
    finally:
        tail.close()
    return bounds.end - bounds.begin if bounds else None


class TestDoctor:
    """What doctor says of the topic."""

    @pytest.fixture
    def copy(self, settings: Settings, pg_keys: str, new_database, tmp_path: Path) -> Iterator[LogCopy]:
        """A copy whose relay has its code from the keyring of its settings, as doctor has."""
        keys_dsn = new_database(pg_keys, "noise")
        migrate(keys_dsn, Path(vault.__file__).parent / "migrations")
        opened = Vault.open_at(keys_dsn, tmp_path / "keyring")
        made = LogCopy(replace(settings, keys_dsn=keys_dsn))
        made.mac = RecordMac(opened.secret("relay-mac"))
        opened.close()
        made.admit()
        yield made
        made.close()

    def asked(self, copy: LogCopy) -> Finding:
        [finding] = relay(copy.settings)
        return finding

    def test_finds_the_events_behind_noise(self, copy: LogCopy) -> None:
        publish(copy)
        strew(copy, 1_001)

        assert self.asked(copy) == Finding("relay", "ok", f"the topic has all {EVENTS} events")

    def test_finds_the_first_event_behind_noise(self, copy: LogCopy) -> None:
        strew(copy, 1_001)
        publish(copy)

        assert self.asked(copy) == Finding("relay", "ok", f"the topic has all {EVENTS} events")

    def test_counts_what_is_missing_behind_noise(self, copy: LogCopy) -> None:
        publish(copy)
        strew(copy, 1_001)
        copy.append(record(), record())
        finding = self.asked(copy)

        assert (finding.state, finding.found) == ("failed", "2 events behind, and does not move")

    @pytest.mark.parametrize("side", ["before the events", "after the events"])
    def test_cannot_tell_behind_more_noise_than_it_reads(self, copy: LogCopy, side: str) -> None:
        if side == "after the events":
            publish(copy)
        strew(copy, GLANCE + 1)
        if side == "before the events":
            publish(copy)
        finding = self.asked(copy)

        assert finding.state == "warning"
        assert "cannot tell" in finding.found
        assert f"{GLANCE} records" in finding.found
        assert finding.advice

    def test_says_that_a_topic_of_noise_alone_has_no_event(self, copy: LogCopy) -> None:
        copy.append()
        strew(copy, 1_001)
        finding = self.asked(copy)

        assert (finding.state, finding.found) == ("failed", f"the topic was emptied: it has none of {EVENTS} events")


def test_a_stranger_who_uses_up_the_relays_sequences_has_no_event_dropped(
    log_copy: LogCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker takes the next batch of an idempotent producer for a repeat when its sequence was there before."""
    met: list[tuple[int, int, int]] = []
    made = DefaultRecordBatch.__init__

    def noted(batch: DefaultRecordBatch, buffer: memoryview) -> None:
        made(batch, buffer)
        following = batch.last_sequence + 1 if batch.base_sequence >= 0 else -1
        met.append((batch.producer_id, batch.producer_epoch, following))

    log_copy.admit()
    with log_copy.relaying():
        log_copy.append(record())
        until(lambda: len(log_copy.raw()) == 1)
        with monkeypatch.context() as patch:
            patch.setattr(DefaultRecordBatch, "__init__", noted)
            log_copy.read()
        junk = batch(lz4.frame.compress(raw_record()), codec=LZ4, producer=met[-1])
        put(log_copy.settings.kafka, log_copy.topic, junk)
        log_copy.append(record())
        until(lambda: metrics.relay_position.number == 2)

    assert log_copy.read() == log_copy.stored()
