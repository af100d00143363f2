"""Looks at Kafka for whoever asks what is wrong with it: brokers, topics, their settings, how far the events go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from application.settings import Settings
from consumers import topics
from consumers.clients import admin, kafka_errors
from consumers.published import RecordMac
from consumers.tail import TopicTail
from consumers.topics import TOPICS, Topic


@dataclass(frozen=True)
class TopicFault:
    """What is wrong with a topic: ``missing``, ``partitions``, ``setting``, ``leaderless``, ``replicas`` or ``copies``.

    ``replicas``: fewer in sync than a write needs; ``copies``: fewer than there should be, and writes go on.
    ``found`` and ``wanted`` are numbers or values of settings; ``setting`` is its name, empty otherwise.
    """

    topic: str
    kind: str
    found: str = ""
    wanted: str = ""
    setting: str = ""


@dataclass(frozen=True)
class Ends:
    """Where the events topic begins and ends: offsets, and the positions of our first and last record.

    0: there is none; ``None``: the ``tail.GLANCE`` records at that end are not ours, and there are more.
    """

    begin: int
    end: int
    first: int | None
    last: int | None


def brokers(settings: Settings) -> int:
    """Return how many brokers the cluster has now. Raises ``KafkaUnavailable``, ``SettingInvalid``."""
    client = admin(settings.brokers)
    try:
        with kafka_errors():
            return len([one for one in client.describe_cluster()["brokers"] if not one.get("is_fenced")])
    finally:
        client.close()


def topic_faults(settings: Settings) -> list[TopicFault]:
    """Return what is wrong with our topics. Raises ``KafkaUnavailable``."""
    client = admin(settings.brokers)
    try:
        with kafka_errors():
            names = {settings.topic(topic.name): topic for topic in TOPICS}
            described = {topic["name"]: topic for topic in client.describe_topics(list(names))}
            there = [name for name in names if described[name]["error_code"] == 0]
            configs = _configs(client, there)
            faults = [TopicFault(name, "missing") for name in names if name not in there]
            for name in there:
                faults += _faults(name, names[name], described[name]["partitions"], configs[name])
            return faults
    finally:
        client.close()


def ends(settings: Settings, mac: RecordMac) -> Ends | None:
    """Return where the events topic begins and ends, ``None`` when it is missing. Raises ``KafkaUnavailable``."""
    tail = TopicTail(settings.brokers, settings.topic(topics.EVENTS), mac)
    try:
        bounds = tail.bounds()
        return Ends(bounds.begin, bounds.end, *tail.glance(bounds)) if bounds else None
    finally:
        tail.close()


def _configs(client: KafkaAdminClient, names: list[str]) -> Mapping[str, Mapping[str, str]]:
    if not names:
        return {}
    described = client.describe_configs([ConfigResource("TOPIC", name) for name in names], config_filter="all")
    return {
        name: {key: str(config["value"]) for key, config in configs.items()}
        for name, configs in described["topic"].items()
    }


def _faults(
    name: str, topic: Topic, partitions: list[Mapping[str, Any]], configs: Mapping[str, str]
) -> Iterator[TopicFault]:
    if len(partitions) != topic.partitions:
        yield TopicFault(name, "partitions", str(len(partitions)), str(topic.partitions))
    for setting, wanted in topic.configs().items():
        if configs.get(setting) != wanted:
            yield TopicFault(name, "setting", configs.get(setting, "unknown"), wanted, setting)
    leaderless = [partition for partition in partitions if partition["leader_id"] < 0]
    if leaderless:
        yield TopicFault(name, "leaderless", str(len(leaderless)), "0")
    least = int(configs.get("min.insync.replicas", "1"))
    in_sync = min((len(partition["isr_nodes"]) for partition in partitions), default=0)
    replicas = max((len(partition["replica_nodes"]) for partition in partitions), default=0)
    if in_sync < least:
        yield TopicFault(name, "replicas", str(in_sync), str(least))
    elif in_sync < replicas:
        yield TopicFault(name, "copies", str(in_sync), str(replicas))
