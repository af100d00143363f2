"""What a member of a consumer group does where the broker is slow or silent: ours, and one of the client library's.

While a heartbeat waits for its answer, the library polls without waiting: a whole core for up to 10 s. And a join that
outlives its poll is never finished, where it began because the topic's partitions changed: the member has none then,
and sends no heartbeats. The library's own member is here to say when ours need no longer be mended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.admin import NewTopic
from kafka_brokers import FaultyBroker
from kafka_proxy import SlowProxy

from consumers.clients import admin, consumer
from tests.waiting import until

pytestmark = pytest.mark.faults
SILENT_SECONDS = 4.0
JOINING_SECONDS = 8.0
POLL_MS, LATE_SECONDS = 20, 0.1


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyBroker, SlowProxy]]:
    """A broker that is spoken to through a proxy, which can fall silent."""
    broker = FaultyBroker(tmp_path_factory.mktemp("overdue") / "kafka")
    proxy = SlowProxy(int(broker.address.partition(":")[2]))
    broker.add(f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}\n")
    broker.up()
    try:
        with closing(admin(broker.address)) as making:
            making.create_topics([NewTopic("overdue", 1, 1), NewTopic("growing", 1, 1)])
        yield broker, proxy
    finally:
        broker.stop()
        proxy.close()


def the_librarys(address: str, **group: Any) -> KafkaConsumer:
    # As often as ours: by default it looks for new partitions every 5 minutes.
    return KafkaConsumer(bootstrap_servers=address, metadata_max_age_ms=3_000, **group)


def join(member: KafkaConsumer, topic: str) -> None:
    """Have a member take its partitions, in polls that a join does not outlive."""
    member.subscribe([topic])
    until(lambda: bool(member.poll(timeout_ms=2_000) or member.assignment()), 60)


@pytest.mark.parametrize(("made", "hurries"), [(consumer, False), (the_librarys, True)], ids=["ours", "the library's"])
def test_polls_wait_although_a_heartbeat_is_overdue(
    behind_proxy: tuple[FaultyBroker, SlowProxy],
    made: Callable[..., KafkaConsumer],
    hurries: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = 0
    once = KafkaConsumer._poll_once

    def counted(*given: Any, **more: Any) -> Any:
        nonlocal rounds
        rounds += 1
        return once(*given, **more)

    monkeypatch.setattr(KafkaConsumer, "_poll_once", counted)
    broker, proxy = behind_proxy
    group = {"group_id": f"overdue-{hurries}", "session_timeout_ms": 10_000, "heartbeat_interval_ms": 1_000}
    with closing(made(broker.address, **group)) as member:
        join(member, "overdue")
        proxy.silent = True
        try:
            until(lambda: member.poll(timeout_ms=200) or member._coordinator.heartbeat.should_heartbeat(), 10)
            rounds, end = 0, time.monotonic() + SILENT_SECONDS
            while time.monotonic() < end:
                member.poll(timeout_ms=300)
        finally:
            proxy.silent = False
    print(f"\n{rounds} rounds in {SILENT_SECONDS:.0f} s")

    assert (rounds > 100 * SILENT_SECONDS) == hurries


@pytest.mark.parametrize(("made", "joins"), [(consumer, True), (the_librarys, False)], ids=["ours", "the library's"])
def test_a_join_that_takes_longer_than_a_poll_is_finished(
    behind_proxy: tuple[FaultyBroker, SlowProxy], made: Callable[..., KafkaConsumer], joins: bool
) -> None:
    broker, proxy = behind_proxy
    with (
        closing(made(broker.address, group_id=f"growing-{joins}", session_timeout_ms=10_000)) as member,
        closing(admin(broker.address)) as making,
    ):
        join(member, "growing")
        before = len(member.assignment())
        proxy.delay = LATE_SECONDS
        try:
            making.create_partitions({"growing": before + 1})
            end = time.monotonic() + JOINING_SECONDS
            while len(member.assignment()) != before + 1 and time.monotonic() < end:
                member.poll(timeout_ms=POLL_MS)
        finally:
            proxy.delay = 0.0

        assert (len(member.assignment()) == before + 1) == joins
