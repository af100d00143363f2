"""The two copies of the log protect one another: the topic is republished, a store set back refills itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from tests.callers import INTAKE_SERVICE, MANAGER
from tests.e2e.copy_of_service import Copy
from tests.e2e.journey import Markers, subject_body

TOPIC = "cases.events.v1"


@pytest.fixture(scope="module")
def own_copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of these tests' own, to be broken; each leaves it running."""
    running = Copy(tmp_path_factory.mktemp("own") / "home")
    running.start()
    yield running
    running.stop()


def register(copy: Copy, key: str | None = None, body: object = None) -> tuple[str, int]:
    headers = {"Idempotency_Key": key} if key else {}
    reply = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", body or subject_body(Markers()), **headers)
    assert reply.status == 201, reply
    return reply.body["id"], reply.body["receipt"]["position"]


def name_of(copy: Copy, subject: str, after: int) -> str:
    reply = copy.call(MANAGER, "GET", f"/v1/subjects/{subject}?after={after}")
    assert reply.status == 200, reply
    return reply.body["identity"]["given_name"]


def positions_on_topic(copy: Copy) -> list[int]:
    consumer = KafkaConsumer(bootstrap_servers=copy.status()["kafka"], enable_auto_commit=False)
    partition = TopicPartition(TOPIC, 0)
    if not consumer.partitions_for_topic(TOPIC):
        consumer.close()
        return []
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found, end = [], consumer.end_offsets([partition])[partition]
    while consumer.position(partition) < end:
        for record in consumer.poll(timeout_ms=500).get(partition, []):
            found.append(int(dict(record.headers)["ck-position"]))
    consumer.close()
    return found


def events_on_store(copy: Copy) -> list[tuple[int, str]]:
    dsn = json.loads((copy.home / "runtime.json").read_text())["environment"]["CASEKEEPER_EVENTS_DSN"]
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT position, event_id::text FROM events ORDER BY position")
        return cursor.fetchall()


def test_a_deleted_topic_is_published_again_and_the_views_carry_on(own_copy: Copy) -> None:
    first, position = register(own_copy)
    assert name_of(own_copy, first, position).endswith("given")
    head = len(events_on_store(own_copy))

    admin = KafkaAdminClient(bootstrap_servers=own_copy.status()["kafka"])
    admin.delete_topics([TOPIC])
    admin.close()

    second, position = register(own_copy)
    deadline = time.monotonic() + 60
    while positions_on_topic(own_copy)[: head + 2] != list(range(1, head + 3)):
        assert time.monotonic() < deadline, "not published again in time"
        time.sleep(0.5)
    reply = own_copy.call(MANAGER, "GET", f"/v1/subjects/{second}?after={position}")
    while reply.status == 503 and time.monotonic() < deadline:
        reply = own_copy.call(MANAGER, "GET", f"/v1/subjects/{second}?after={position}")
    assert reply.status == 200, reply
    assert name_of(own_copy, first, position).endswith("given")


def test_a_store_set_back_refills_itself_before_it_takes_a_write(own_copy: Copy, tmp_path: Path) -> None:
    copy = own_copy
    first, position = register(copy)
    name_of(copy, first, position)
    copy.stop()
    set_aside = tmp_path / "before"
    subprocess.run(["cp", "-a", str(copy.home / "pg-main"), str(set_aside)], check=True)

    copy.start()
    body = subject_body(Markers())
    second, position = register(copy, "a call that is repeated", body)
    assert name_of(copy, second, position).endswith("given")
    before = events_on_store(copy)
    # What neither copy has, the head file still knows, and writing would rightly stay closed.
    deadline = time.monotonic() + 30
    while len(set(positions_on_topic(copy))) < len(before):
        assert time.monotonic() < deadline, "not published in time"
        time.sleep(0.2)
    copy.stop()
    shutil.rmtree(copy.home / "pg-main")
    subprocess.run(["cp", "-a", str(set_aside), str(copy.home / "pg-main")], check=True)

    copy.start()
    assert register(copy, "a call that is repeated", body) == (second, position)
    third, third_position = register(copy)
    after = events_on_store(copy)
    assert after[: len(before)] == before
    assert third_position > before[-1][0]
    assert [position for position, _ in after] == list(range(1, len(after) + 1))
    assert name_of(copy, second, third_position).endswith("given")
    assert name_of(copy, third, third_position).endswith("given")
