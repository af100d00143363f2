"""Kafka down, lost, slow, silent, and replaced by an empty one, under the genuine api and worker processes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from at_work import AtWork, failed
from kafka_brokers import FaultyBroker
from kafka_copies import assert_identical
from kafka_proxy import SlowProxy
from kafka_stack import Stack, stack

from casekeeper_client import Accepted, Client
from tests.callers import INTAKE_SERVICE, MANAGER
from tests.e2e.copy_of_service import Reply
from tests.e2e.journey import Markers, subject_body
from tests.waiting import until

pytestmark = pytest.mark.faults

AWAY = "KafkaUnavailable"


@pytest.fixture(scope="module")
def copy(broker: FaultyBroker, pg_main: str, pg_keys: str, new_database, tmp_path_factory) -> Iterator[Stack]:
    """A copy that has worked; each test leaves it working."""
    home = tmp_path_factory.mktemp("outages") / "home"
    with stack(home, pg_main, pg_keys, new_database, broker.address) as made:
        made.serve()
        made.until_well()
        made.register()
        yield made


class Writer(AtWork):
    """Registers people over HTTP, one after the other; every call must succeed."""

    def __init__(self, copy: Stack) -> None:
        super().__init__("writer")
        self.positions: list[int] = []
        self.failures: list[str] = []
        self.slowest = 0.0
        self._copy = copy
        self._ending = threading.Event()

    def work(self) -> None:
        while not self._ending.wait(0.05):
            began = time.monotonic()
            reply = self._copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers()))
            self.slowest = max(self.slowest, time.monotonic() - began)
            if reply.status == 201:
                self.positions.append(reply.body["receipt"]["position"])
            else:
                self.failures.append(str(reply))

    def end(self) -> list[str]:
        """Tell it to end; return what became of it that should not have."""
        self._ending.set()
        return failed([self], 40)


@contextmanager
def writing(copy: Stack) -> Iterator[Writer]:
    """Write during the block, and assert that every write succeeded and none waited for Kafka."""
    writer = Writer(copy)
    writer.start()
    try:
        yield writer
    finally:
        wrong = writer.end()
    assert [*wrong, *writer.failures] == []
    assert len(writer.positions) > 20
    assert writer.positions == sorted(writer.positions)
    assert writer.slowest < 10


def caught_up(copy: Stack) -> None:
    """Wait until everything works again, then compare store and topic."""
    copy.until_well()
    assert_identical(copy.kafka, copy.dsns["EVENTS"])


def retry_after(reply: Reply) -> int:
    return int({name.lower(): value for name, value in reply.headers.items()}["retry-after"])


def named(copy: Stack, *parts: str) -> bool:
    said = copy.health()
    return said.get("ready") is True and all(said["reasons"].get(part) == AWAY for part in parts)


def test_lost_in_the_middle(copy: Stack, broker: FaultyBroker) -> None:
    first, at_first = copy.register()
    with writing(copy) as writer:
        until(lambda: len(writer.positions) > 10)
        broker.kill()
        until(lambda: named(copy, "relay", "inbox"), what="health naming relay and inbox")
        subject, position = copy.register()
        behind = copy.call(MANAGER, "GET", f"/v1/subjects/{subject}?after={position}")
        there = copy.call(MANAGER, "GET", f"/v1/subjects/{first}")
        broker.up()
        until(lambda: copy.view_positions()["people"] >= position, what="the view")
    caught_up(copy)

    assert (behind.status, behind.body["type"]) == (503, "urn:casekeeper:problem:view-behind")
    assert retry_after(behind) >= 1
    assert (there.status, there.body["id"]) == (200, first)
    assert position > at_first
    assert copy.call(MANAGER, "GET", f"/v1/subjects/{subject}?after={position}").status == 200


def test_down_at_start(copy: Stack, broker: FaultyBroker) -> None:
    """After the database, too, was started anew: then the head file's word admits writes while Kafka is away."""
    copy.register()
    for name in ("api", "worker"):
        copy.end(name)
    broker.kill()
    copy.sql("EVENTS", "UPDATE log_head SET admitted_for = 'an earlier incarnation'")
    copy.serve()
    until(lambda: copy.health().get("reasons", {}).get("store-not-admitted"), what="health naming the store")
    closed = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers()))
    until(lambda: named(copy, "relay", "inbox"), what="writes admitted without Kafka")
    with writing(copy):
        time.sleep(3)
        broker.up()
        time.sleep(3)
    caught_up(copy)

    assert (closed.status, closed.body["type"]) == (503, "urn:casekeeper:problem:store-unavailable")
    assert retry_after(closed) >= 1


def test_replaced_by_an_empty_one(copy: Stack, broker: FaultyBroker) -> None:
    registered = json.loads(copy.run("actors", "add", "--service", "web-forms", "--json").stdout)
    with writing(copy) as writer:
        broker.kill()
        broker.empty()
        until(lambda: named(copy, "relay"), what="health naming the relay")
        broker.up()
        until(lambda: copy.view_positions()["people"] >= writer.positions[-1], what="the views")
    caught_up(copy)
    topic = assert_identical(copy.kafka, copy.dsns["EVENTS"])
    client = Client(copy.kafka, f"{copy.url}/v1/inbox-key", registered["publisher_id"], registered["private_key"])
    answered = client.wait_for_outcome(client.publish("register_subject", subject_body(Markers())), timeout=30)
    client.close()

    assert topic.offsets - topic.repeats >= writer.positions[-1], "published again from position 1"
    assert isinstance(answered, Accepted)


def test_slow_then_silent(copy: Stack, broker: FaultyBroker) -> None:
    """Answers late and narrow at first; then connections stay open and nothing comes; then all is well again."""
    proxy = SlowProxy(int(broker.address.partition(":")[2]))
    broker.kill()
    broker.add(f"advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}\n")
    broker.up()
    copy.until_well()
    with writing(copy) as writer:
        proxy.delay, proxy.rate = 0.15, 500_000
        until(lambda: len(writer.positions) > 40)
        reached = writer.positions[-1]
        until(lambda: copy.view_positions()["people"] >= reached, what="the views, slowly")
        proxy.silent = True
        until(lambda: named(copy, "relay"), what="health naming the relay")
        proxy.delay, proxy.rate, proxy.silent = 0.0, 0, False
    caught_up(copy)
    proxy.close()
