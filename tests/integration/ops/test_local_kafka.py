"""The local broker is the genuine one, keeps its records and its address, and takes what the service may send."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from ops.kafka.broker import Broker
from ops.kafka.class_archive import class_archive
from ops.kafka.fetch import fetch

LARGEST_EVENT = 512 * 1024


def send(address: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=address, acks="all", max_request_size=2 * 1024 * 1024, max_block_ms=3000)
    try:
        producer.send(topic, value).get(timeout=20)
    finally:
        producer.close(timeout=5)


def values(address: str, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, consumer_timeout_ms=8000)
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found: list[bytes] = []
        for record in consumer:
            found.append(record.value)
            if record.offset == end - 1:
                break
        return found
    finally:
        consumer.close()


@pytest.mark.faults
def test_records_and_address_survive_a_sigkill(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka")
    process = broker.start(tmp_path / "kafka.log")
    try:
        broker.wait_ready()
        first_address = broker.address
        admin = KafkaAdminClient(bootstrap_servers=first_address)
        admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
        admin.close()
        send(first_address, "kept", b"x" * LARGEST_EVENT)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)

        again = Broker(tmp_path / "kafka")
        again.start(tmp_path / "kafka.log")
        try:
            again.wait_ready()
            assert again.address == first_address
            assert values(again.address, "kept") == [b"x" * LARGEST_EVENT]
        finally:
            again.stop()
    finally:
        broker.stop()


def test_a_mistyped_topic_is_not_made(kafka_bootstrap: str) -> None:
    with pytest.raises(KafkaError):
        send(kafka_bootstrap, "no-such-topic", b"x")

    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    names = [row["name"] if isinstance(row, dict) else row for row in admin.list_topics()]
    admin.close()
    assert "no-such-topic" not in names


def test_a_start_reads_the_archived_classes(tmp_path: Path) -> None:
    """What Java has mapped says it: an archive that does not fit is passed over without a word."""
    fetch()
    broker = Broker(tmp_path / "kafka")
    process = broker.start(tmp_path / "kafka.log")
    try:
        broker.wait_ready()
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        broker.stop()

    assert str(class_archive()) in mapped
