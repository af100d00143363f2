"""Everything of the past put together again, but for the topic: events, keys, key change log and a copied keyring."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError
from rebalance_watch import admitted

from application.key_reconciliation import reconcile_keys
from application.settings import Settings
from application.wiring import build_resources, build_service
from consumers.clients import consumer
from consumers.topics import EVENTS
from consumers.worker import run_worker
from domain.errors import KeysUnavailable
from store.log import EventLog
from tests.keyrings import of_files
from tests.keys_story import Past, closed, erased, kept_aside, new_installation, opened, registered
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


def erased_since(settings: Settings, folder: Path) -> tuple[Past, UUID, dict[tuple[UUID, str], Any], int]:
    """Register people, keep everything aside, and erase one of them, all of it on the topic.

    Return what was kept, the certificate, what opens now, and the head.
    """
    service = build_service(settings)
    people = registered(service, 3)
    first = service.log.head()
    closed(service)
    with relay(settings):
        published(settings, first)
    past = kept_aside(settings, folder)
    service = build_service(settings)
    certificate = erased(service, people[0])
    now, last = opened(service), service.log.head()
    closed(service)
    with relay(settings):
        published(settings, last)
    return past, certificate, now, last


def head(settings: Settings) -> int:
    with EventLog(settings.events_dsn) as log:
        return log.head()


@of_files
def test_all_of_the_past_with_a_newer_topic_is_destroyed_again_before_writes_are_admitted(settings, tmp_path):
    past, certificate, now, last = erased_since(settings, tmp_path / "past")
    old = of_the_past(settings, past, tmp_path / "elsewhere")
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


@of_files
def test_keys_of_the_past_that_were_away_after_the_refill_are_destroyed_again_before_writes_are_admitted(
    settings, tmp_path, monkeypatch
):
    past, _, now, last = erased_since(settings, tmp_path / "past")
    old = of_the_past(settings, past, tmp_path / "elsewhere")
    heads: list[int] = []

    def away_at_first(log, vault, compared):
        heads.append(log.head())
        if len(heads) == 1:
            raise KeysUnavailable("away for a moment")
        return reconcile_keys(log, vault, compared)

    monkeypatch.setattr("consumers.worker.reconcile_keys", away_at_first)
    with relay(old):
        until(lambda: admitted(old.events_dsn))

    assert heads == [last, last]
    again = build_resources(old)
    assert opened(again) == now
    again.log.close()
    again.vault.close()


def of_the_past(settings: Settings, past: Past, home: Path) -> Settings:
    return replace(
        settings,
        home=str(home),
        events_dsn=past.events_dsn,
        keys_dsn=past.keys_dsn,
        keyring=f"file:{past.keyring}",
        keys_log=str(past.keys_log),
    )


def published(settings: Settings, position: int) -> None:
    """Wait until the topic has that many records; nobody else writes there."""
    partition = TopicPartition(settings.topic(EVENTS), 0)
    with closing(consumer(settings.brokers)) as reader:

        def there() -> bool:
            with suppress(KafkaError):
                return reader.end_offsets([partition], timeout_ms=2_000)[partition] >= position
            return False

        until(there)
