"""The spine on servers of the benchmark's own: a log, its topic, and its views; and the events that fill them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from application.settings import Settings
from bench.database import cluster
from bench.workload import events
from consumers.batch_producer import BatchProducer, fitting
from consumers.published import RecordMac
from consumers.topics import EVENTS, ensure_topics
from ops.kafka.broker import Broker
from ops.roles import CLUSTERS, OWNER
from store.append import NewEvent, UnpublishedRecord
from store.log import EventLog
from store.migrate import migrate

MAC = RecordMac(bytes(range(32)))
_CHUNK = 1_000


@contextmanager
def spine(folder: Path) -> Iterator[Settings]:
    """Give the settings of a copy with an empty log and its topics, on PostgreSQL and Kafka that end with the block."""
    broker = Broker(folder / "kafka")
    broker.start(folder / "kafka.log")
    try:
        with cluster(folder) as database:
            broker.wait_ready()
            events_name, views_name = CLUSTERS[database.name]
            settings = Settings(
                home=str(folder),
                events_dsn=database.dsn(OWNER, events_name),
                views_dsn=database.dsn(OWNER, views_name),
                kafka=broker.address,
            )
            migrate(settings.events_dsn)
            ensure_topics(settings)
            yield settings
    finally:
        broker.stop()


def fill_topic(settings: Settings, count: int) -> None:
    """Publish the first ``count`` events of the workload, with valid codes, at positions from 1."""
    with closing(BatchProducer(settings.brokers, settings.topic(EVENTS), MAC)) as producer:
        for chunk in _chunks(enumerate(events(count), 1)):
            waiting = [UnpublishedRecord(p, str(e.stream_id).encode(), e.type, e.record) for p, e in chunk]
            while waiting:
                batch = fitting(waiting)
                producer.publish(batch)
                waiting = waiting[len(batch) :]


def fill_store(log: EventLog, count: int) -> None:
    """Store the first ``count`` events of the workload at positions from 1, and admit writes."""
    for chunk in _chunks(enumerate(events(count), 1)):
        log.refill(chunk[0][0], [event for _, event in chunk], ())
    log.admit_writes(log.admission().incarnation, count)


def _chunks(numbered: Iterable[tuple[int, NewEvent]]) -> Iterator[list[tuple[int, NewEvent]]]:
    left = iter(numbered)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
