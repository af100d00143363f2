"""The relay from the store to the topic, beside kafka-python alone producing the same records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from threading import Event
from typing import Any

from application.settings import Settings
from bench.figures import Figure, Result, Run
from bench.own_process import in_own_process
from bench.spine import MAC, fill_store, spine
from consumers.batch_producer import BATCH_BYTES, BatchProducer, schema_of
from consumers.clients import admin, producer
from consumers.relay import Relay
from consumers.topics import EVENTS, ensure_topics
from store.log import EventLog

COUNT = 30_000
_LINGER_MS = 20

RELAY = Figure(
    "relay, store to topic",
    "events/s",
    0.7,
    note="kafka-python alone, same records and codes, idempotent, lz4, acks=all",
)
FIGURES = (RELAY,)


def measure(run: Run) -> Iterator[Result]:
    """Yield events per second from the first batch to the last acknowledgement."""
    with spine(run.folder) as settings:
        with EventLog(settings.events_dsn) as log:
            fill_store(log, COUNT)
        yield RELAY.alternate(lambda: _rate(relayed, settings), lambda: _rate(produced, settings), run.rounds)


def _rate(way: Callable[[Settings], float], settings: Settings) -> float:
    with closing(admin(settings.brokers)) as client:
        client.delete_topics([settings.topic(EVENTS)])
    while settings.topic(EVENTS) not in ensure_topics(settings):
        time.sleep(0.1)
    return COUNT / float(in_own_process(way, settings))


def relayed(settings: Settings) -> float:
    """Return the seconds that the relay takes: reads the store, computes codes, publishes with one batch under way."""
    stop = Event()
    times: list[float] = []

    class Watched(BatchProducer):
        def publish(self, records: Sequence[Any], *given: Any) -> int:
            times.append(time.perf_counter())
            offset = super().publish(records, *given)
            if records[-1].position == COUNT:
                times.append(time.perf_counter())
                stop.set()
            return offset

    class WatchedRelay(Relay):
        def producer(self) -> BatchProducer:
            return Watched(settings.brokers, settings.topic(EVENTS), MAC)

    with EventLog(settings.events_dsn) as log:
        WatchedRelay(settings, log, MAC, lambda *_: None).run(stop)
    return times[-1] - times[0]


def produced(settings: Settings) -> float:
    """Return the seconds that kafka-python takes for the records in memory, codes computed before."""
    with EventLog(settings.events_dsn) as log:
        records = log.unpublished(1, COUNT)
    headers = [MAC.headers(r.position, r.key, r.record, r.type, schema_of(r.record)) for r in records]
    topic = settings.topic(EVENTS)
    with closing(producer(settings.brokers, linger_ms=_LINGER_MS, batch_size=BATCH_BYTES)) as sending:
        sending.partitions_for(topic)
        started = time.perf_counter()
        for record, given in zip(records, headers, strict=True):
            sending.send(topic, value=record.record, key=record.key, headers=given, partition=0)
        sending.flush()
        return time.perf_counter() - started
