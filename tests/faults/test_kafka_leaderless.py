"""Kafka answers with one broker of two: the events partition has no leader, or too few that hold it to be written."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka_brokers import FaultyBroker, pair

from application import metrics
from application.settings import Settings
from consumers.clients import admin, kafka_errors
from consumers.relay import Relay
from consumers.topics import ensure_topics
from domain.errors import KafkaUnavailable
from store.log import EventLog
from store.migrate import migrate
from tests.integration.consumers.log_copy import LogCopy, record
from tests.waiting import until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyBroker, FaultyBroker]]:
    with pair(tmp_path_factory.mktemp("pair")) as made:
        yield made


@pytest.fixture
def copy(brokers: tuple[FaultyBroker, FaultyBroker], pg_main: str, new_database, tmp_path: Path) -> Iterator[LogCopy]:
    """An empty log with a head file, without its topic."""
    dsn = new_database(pg_main, "leaderless")
    migrate(dsn)
    servers = ",".join(broker.address for broker in brokers)
    prefix = f"t{secrets.token_hex(4)}."
    made = LogCopy(Settings(home=str(tmp_path), events_dsn=dsn, kafka=servers, topic_prefix=prefix))
    made.log.close()
    made.log = EventLog(dsn, heads=tmp_path / "heads")
    made.admit()
    yield made
    made.close()


def make_topic(copy: LogCopy, *nodes: int, **configs: str) -> None:
    """Make the events topic on these brokers."""
    with closing(admin(copy.settings.kafka)) as client:
        until(lambda: len(client.describe_cluster()["brokers"]) == 2, what="two brokers")
        client.create_topics(
            {copy.topic: {"assignments": {0: list(nodes)}, "configs": configs}}, wait_for_metadata=True
        )
    ensure_topics(copy.settings)


def leader(copy: LogCopy) -> int:
    """Return the node that leads the events partition, -1: none; 0 where a broker that is gone was asked."""
    try:
        with closing(admin(copy.settings.kafka)) as client, kafka_errors():
            return int(client.describe_topics([copy.topic])[0]["partitions"][0]["leader_id"])
    except KafkaUnavailable:
        return 0


def test_writes_go_on_while_the_events_partition_has_no_leader(
    copy: LogCopy, brokers: tuple[FaultyBroker, FaultyBroker]
) -> None:
    make_topic(copy, 2)
    copy.append()
    with copy.relaying():
        until(lambda: len(copy.raw()) == 20)
    brokers[1].kill()
    until(lambda: leader(copy) == -1, what="a partition without a leader")
    copy.close_admission()
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


def test_what_is_not_acknowledged_is_told_while_too_few_brokers_hold_the_topic(
    copy: LogCopy, brokers: tuple[FaultyBroker, FaultyBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic can be read, and so the relay agrees again and again, and nothing gets on."""
    monkeypatch.setattr(metrics.relay_position, "number", None)
    monkeypatch.setattr(metrics.relay_acknowledged, "number", None)
    make_topic(copy, 1, 2, **{"min.insync.replicas": "2"})
    brokers[1].kill()
    until(lambda: leader(copy) == 1, what="a leader that is left")
    copy.append()
    started = time.time()
    with copy.relaying() as part:
        until(lambda: part.said.state == "retrying", what="a batch that is not acknowledged")
        told = (metrics.relay_position.number, metrics.relay_acknowledged.number)
        brokers[1].up()
        until(lambda: metrics.relay_position.number == 20, what="the acknowledgement")

    assert told[0] == 0
    assert told[1] is not None
    assert started <= told[1] < started + 5
    assert copy.read() == copy.stored()
