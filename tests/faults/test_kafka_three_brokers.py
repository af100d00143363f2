"""Three brokers: one may die, the leader too; with two gone writes go on and the relay waits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
from kafka import KafkaAdminClient
from kafka_brokers import FaultyBroker, three
from kafka_copies import EVENTS, assert_identical
from kafka_stack import Stack, stack

from tests.waiting import until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[FaultyBroker]]:
    with three(tmp_path_factory.mktemp("three")) as made:
        yield made


@pytest.fixture(scope="module")
def copy(brokers, pg_main: str, pg_keys: str, new_database, tmp_path_factory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("three") / "home"
    servers = ",".join(broker.address for broker in brokers)
    with stack(home, pg_main, pg_keys, new_database, servers) as made:
        made.serve()
        made.until_well()
        yield made


def events_partition(copy: Stack) -> dict:
    """Return what the brokers say about the partition of the events topic."""
    admin = KafkaAdminClient(bootstrap_servers=copy.kafka.split(","))
    try:
        return admin.describe_topics([EVENTS.topic])[0]["partitions"][0]
    finally:
        admin.close()


def write(copy: Stack, seconds: float) -> int:
    """Register people for some seconds; return the last position. Each call must succeed, without waiting."""
    ends, position = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        position = copy.register()[1]
    return position


def caught_up(copy: Stack, position: int) -> None:
    until(lambda: min(copy.view_positions().values()) >= position, what="the views")
    assert_identical(copy.kafka, copy.dsns["EVENTS"])


def test_one_broker_may_die_and_then_two(copy: Stack, brokers: Sequence[FaultyBroker]) -> None:
    before = events_partition(copy)
    assert len(before["isr_nodes"]) == 3
    leader = brokers[before["leader_id"] - 1]
    other, last = (broker for broker in brokers if broker is not leader)

    write(copy, 1)
    leader.kill()
    caught_up(copy, write(copy, 4))
    assert events_partition(copy)["leader_id"] != before["leader_id"]

    other.kill()
    waiting = write(copy, 3)
    until(lambda: copy.reasons().get("relay"), what="health naming the relay")
    held = copy.view_positions()["people"]
    position = write(copy, 1)
    assert copy.health()["ready"]
    assert copy.view_positions()["people"] == held < waiting < position

    other.up()
    caught_up(copy, write(copy, 1))
    leader.up()
    last.kill()
    caught_up(copy, write(copy, 2))
    last.up()
    copy.until_well()
    until(lambda: len(events_partition(copy)["isr_nodes"]) == 3, what="three copies in step")
