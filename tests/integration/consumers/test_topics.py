"""The topics as they are made: what is kept how long, and never by auto-creation."""

from __future__ import annotations

import pytest
from kafka.admin import ConfigResource

from application.settings import Settings
from consumers.clients import admin, producer
from consumers.topics import ensure_topics
from tests.topic_settings import set_topic
from tests.waiting import until

DAY = 86_400_000
KEPT = {
    "cases.events.v1": (1, "-1"),
    "cases.inbox.v1": (4, str(DAY)),
    "cases.outcomes.v1": (4, str(7 * DAY)),
    "cases.deadletters.v1": (1, str(90 * DAY)),
}


@pytest.fixture
def client(settings: Settings):
    made = admin(settings.kafka)
    yield made
    made.close()


def configs(client, name: str) -> dict[str, str]:
    described = client.describe_configs([ConfigResource("TOPIC", name)])
    [found] = [entries[name] for entries in described.values() if name in entries]
    return {key: entry["value"] for key, entry in found.items()}


@pytest.mark.parametrize("name", KEPT)
def test_a_topic_has_its_partitions_and_keeps_its_records(settings: Settings, client, name: str) -> None:
    [described] = client.describe_topics([settings.topic(name)])
    found = configs(client, settings.topic(name))

    assert (len(described["partitions"]), found["retention.ms"]) == KEPT[name]
    assert (found["cleanup.policy"], found["max.message.bytes"]) == ("delete", "2097152")
    assert found["message.timestamp.type"] == "LogAppendTime"


def test_the_inbox_is_cut_into_hours(settings: Settings, client) -> None:
    assert configs(client, settings.topic("cases.inbox.v1"))["segment.ms"] == "3600000"


def test_made_once(settings: Settings) -> None:
    assert ensure_topics(settings) == []


def test_the_events_topic_is_given_back_its_settings(settings: Settings, client) -> None:
    name = settings.topic("cases.events.v1")
    set_topic(settings.kafka, name, retention_ms="60000", max_message_bytes="1000")
    ensure_topics(settings)

    def given_back() -> bool:
        found = configs(client, name)
        return (found["retention.ms"], found["max.message.bytes"]) == ("-1", "2097152")

    until(given_back, 10)


def test_no_client_makes_a_topic_by_writing_to_it(settings: Settings, client) -> None:
    name = f"{settings.topic_prefix}typo"
    writer = producer(settings.kafka, max_block_ms=1_500)
    with pytest.raises(Exception, match="metadata"):
        writer.send(name, value=b"x").get(timeout=3)
    writer.close(timeout=1)

    assert name not in client.list_topics()
