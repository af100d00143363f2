"""Doctor, asked while Kafka is broken under the genuine processes, each time in a real way."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from doctor_asked import Said, ask
from kafka import TopicPartition
from kafka_brokers import FaultyBroker
from kafka_stack import Stack, stack

from consumers.clients import admin
from tests.callers import INTAKE_SERVICE
from tests.e2e.journey import Markers, subject_body
from tests.topic_settings import set_topic
from tests.waiting import until

pytestmark = pytest.mark.faults

PATIENCE = 150.0
"""Seconds for what a busy machine does at last."""
EVENTS, INBOX = "cases.events.v1", "cases.inbox.v1"


@pytest.fixture(scope="module")
def copy(broker: FaultyBroker, pg_main: str, pg_keys: str, new_database, tmp_path_factory) -> Iterator[Stack]:
    """A copy that has worked and whose worker has ended; each test leaves Kafka as it found it."""
    with stack(tmp_path_factory.mktemp("doctor") / "home", pg_main, pg_keys, new_database, broker.address) as made:
        made.serve()
        until(made.well, PATIENCE, "the copy")
        register(made)
        until(lambda: doctor(made).status == 0, PATIENCE, "all well")
        yield made


@pytest.fixture
def idle(copy: Stack) -> Iterator[Stack]:
    """The copy without its worker, which would mend what is broken before anybody could ask; it mends it afterwards."""
    copy.end("worker")
    yield copy
    copy.worker("worker")
    until(copy.well, PATIENCE, "the copy")
    until(lambda: doctor(copy).status == 0, PATIENCE, "all well again")


def doctor(copy: Stack) -> Said:
    return ask(copy.environment)


def register(copy: Stack) -> None:
    assert copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers())).status == 201


def test_a_broker_that_is_down_is_named_and_one_that_hangs_told_apart(copy: Stack, broker: FaultyBroker) -> None:
    assert broker._running is not None
    broker._running.send_signal(signal.SIGSTOP)
    try:
        hung = doctor(copy)
    finally:
        broker._running.send_signal(signal.SIGCONT)
    broker.kill()
    down = doctor(copy)
    broker.up()

    assert hung.says("kafka", "takes connections and does not answer")
    assert down.says("kafka", f"no answer from {broker.address}")
    assert "relay" not in down.wrong
    until(lambda: doctor(copy).status == 0, PATIENCE, "all well again")


def test_a_topic_that_is_missing_is_named(idle: Stack) -> None:
    client = admin(idle.kafka)
    client.delete_topics([EVENTS])
    client.close()
    until(lambda: doctor(idle).says("topics", f"{EVENTS} is missing"), 20)


def test_a_topic_that_was_emptied_is_named(idle: Stack) -> None:
    client = admin(idle.kafka)
    client.delete_records({TopicPartition(EVENTS, 0): -1})
    client.close()
    said = doctor(idle)

    assert said.says("relay", "the topic was emptied")
    assert said.says("workers", "nobody runs any part")


def test_events_that_nobody_publishes_are_counted(idle: Stack) -> None:
    before = idle.sql("EVENTS", "SELECT position FROM log_head")[0][0]
    for _ in range(3):
        register(idle)
    behind = idle.sql("EVENTS", "SELECT position FROM log_head")[0][0] - before
    said = doctor(idle)

    assert behind >= 3
    assert said.says("relay", f"{behind} events behind, and does not move"), said.wrong


def test_settings_of_topics_that_differ_are_named_with_what_they_should_be(idle: Stack) -> None:
    set_topic(idle.kafka, INBOX, retention_ms="1000")
    set_topic(idle.kafka, EVENTS, cleanup_policy="compact")
    said = doctor(idle)
    set_topic(idle.kafka, INBOX, retention_ms="86400000")

    assert said.says("topics", f"{INBOX}: retention.ms is 1000")
    assert said.says("topics", f"{EVENTS}: cleanup.policy is compact")
    advice = {found: advice for _, found, advice in said.wrong["topics"]}
    assert "set it to 86400000" in advice[f"{INBOX}: retention.ms is 1000"]
    assert "set it to delete" in advice[f"{EVENTS}: cleanup.policy is compact"]


def test_too_few_replicas_are_named(idle: Stack) -> None:
    """One broker, and a topic that wants two: nothing can be published."""
    set_topic(idle.kafka, EVENTS, min_insync_replicas="2")
    try:
        said = doctor(idle)
    finally:
        set_topic(idle.kafka, EVENTS, min_insync_replicas="1")

    assert said.says("topics", f"{EVENTS}: not enough in-sync replicas (1 of the 2 it needs)")
