"""Kafka answers, and the events partition cannot be read, because the one broker that holds it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka_brokers import FaultyBroker, pair

from application.settings import Settings
from consumers.clients import admin, log_errors
from consumers.relay import Relay
from consumers.topics import EVENTS, ensure_topics
from domain.errors import LogUnavailable
from store.log import EventLog
from store.migrate import migrate
from tests.integration.consumers.log_copy import LogCopy, record
from tests.waiting import until

pytestmark = pytest.mark.faults


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[tuple[FaultyBroker, FaultyBroker]]:
    with pair(tmp_path / "pair") as made:
        yield made


@pytest.fixture
def copy(brokers: tuple[FaultyBroker, FaultyBroker], pg_main: str, new_database, tmp_path: Path) -> Iterator[LogCopy]:
    """A log with a head file, whose topic lies on the second broker alone."""
    dsn = new_database(pg_main, "leaderless")
    migrate(dsn)
    settings = Settings(home=str(tmp_path), events_dsn=dsn, kafka=",".join(broker.address for broker in brokers))
    with closing(admin(settings.kafka)) as client:
        until(lambda: len(client.describe_cluster()["brokers"]) == 2, what="two brokers")
        client.create_topics({EVENTS: {"assignments": {0: [2]}}}, wait_for_metadata=True)
    ensure_topics(settings)
    made = LogCopy(settings)
    made.log.close()
    made.log = EventLog(dsn, heads=tmp_path / "heads")
    made.admit()
    made.append()
    yield made
    made.close()


def leader(copy: LogCopy) -> int:
    """Return the node that leads the events partition, -1: none; 0 where a broker that is gone was asked."""
    try:
        with closing(admin(copy.settings.kafka)) as client, log_errors():
            return int(client.describe_topics([EVENTS])[0]["partitions"][0]["leader_id"])
    except LogUnavailable:
        return 0


def close_admission(log: EventLog) -> None:
    """Do what a restart of the database does."""
    with log._reads.transaction() as cursor:
        cursor.execute("UPDATE log_head SET admitted_for = 'an earlier incarnation'")


def test_writes_go_on_while_the_events_partition_has_no_leader(
    copy: LogCopy, brokers: tuple[FaultyBroker, FaultyBroker]
) -> None:
    with copy.relaying():
        until(lambda: len(copy.raw()) == 20)
    brokers[1].kill()
    until(lambda: leader(copy) == -1, what="a partition without a leader")
    close_admission(copy.log)
    closed = time.monotonic()
    with copy.relaying():
        until(lambda: copy.log.admission().admitted, 90, what="admission on the head file's word")
        waited = time.monotonic() - closed
        copy.append(record())
        brokers[1].up()
        until(lambda: leader(copy) == 2, what="the leader")
        until(lambda: len(copy.raw()) == 21)

    assert waited > Relay.grace_seconds
    assert copy.read() == copy.stored()
