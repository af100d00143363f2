"""Everything of the past put together again, but for the topic: events, keys, key change log and a copied keyring."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from secrets import token_hex

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError
from rebalance_watch import admitted

from application.settings import Settings
from application.wiring import build_resources, build_service
from consumers.clients import consumer
from consumers.topics import EVENTS
from consumers.worker import run_worker
from store.log import EventLog
from tests.keyrings import of_files
from tests.keys_story import closed, erased, kept_aside, new_installation, opened, registered
from tests.waiting import until

pytestmark = pytest.mark.faults


@pytest.fixture
def settings(pg_main, pg_keys, new_database: Callable[..., str], kafka_bootstrap, tmp_path) -> Settings:
    made = new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "home")
    return replace(
        made,
        views_dsn=new_database(pg_main, "views"),
        kafka=kafka_bootstrap,
        topic_prefix=f"t{token_hex(4)}.",
    )


@contextmanager
def relay(settings: Settings) -> Iterator[None]:
    """Run a worker that has only the relay."""
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(settings, ["relay"], stop))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def head(settings: Settings) -> int:
    with EventLog(settings.events_dsn) as log:
        return log.head()


@of_files
def test_all_of_the_past_with_a_newer_topic_is_destroyed_again_before_writes_are_admitted(settings, tmp_path):
    service = build_service(settings)
    people = registered(service, 3)
    first = service.log.head()
    closed(service)
    with relay(settings):
        published(settings, first)
    past = kept_aside(settings, tmp_path / "past")
    service = build_service(settings)
    certificate = erased(service, people[0])
    now, last = opened(service), service.log.head()
    closed(service)
    with relay(settings):
        published(settings, last)
    old = replace(
        settings,
        home=str(tmp_path / "elsewhere"),
        events_dsn=past.events_dsn,
        keys_dsn=past.keys_dsn,
        keyring=f"file:{past.keyring}",
        keys_log=str(past.keys_log),
    )
    before = build_resources(old)
    assert certificate not in opened(before).values(), "the person was readable in these copies: that is the attack"
    before.log.close()
    before.vault.close()

    with relay(old):
        until(lambda: admitted(old.events_dsn))

    assert head(old) == last
    again = build_resources(old)
    assert opened(again) == now
    assert len(list(past.keyring.glob("root-*.key"))) == 1
    again.log.close()
    again.vault.close()


def published(settings: Settings, position: int) -> None:
    """Wait until the topic has that many records; nobody else writes there."""
    partition = TopicPartition(settings.topic(EVENTS), 0)
    with closing(consumer(settings.brokers)) as reader:

        def there() -> bool:
            with suppress(KafkaError):
                return reader.end_offsets([partition], timeout_ms=2_000)[partition] >= position
            return False

        until(there)
