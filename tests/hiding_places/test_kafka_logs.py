"""Neither Kafka's client in our processes nor the broker we start logs what a record holds."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import NewTopic

from consumers.clients import admin

FOLDER = Path(__file__).parent


@pytest.fixture
def topic(kafka_bootstrap: str) -> Iterator[str]:
    name = f"hiding-{secrets.token_hex(4)}"
    client = admin(kafka_bootstrap)
    client.create_topics([NewTopic(name, 1, 1)])
    yield name
    client.delete_topics([name])
    client.close()


def logged(whose: str, brokers: str, topic: str, marker: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), str(FOLDER.parents[1])])}
    command = [sys.executable, str(FOLDER / "kafka_client_process.py"), whose, brokers, topic, marker]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout + done.stderr


def test_the_clients_loggers_tell_nothing_of_a_record_at_any_level(
    kafka_bootstrap: str, topic: str, marker: str, servers_folder: Path
) -> None:
    told = logged("theirs", kafka_bootstrap, topic, marker)
    ours = logged("ours", kafka_bootstrap, topic, marker)

    assert marker in told, "the client by itself logs records"
    assert marker not in ours
    assert '"logger": "kafka.' in ours, "its loggers were as talkative in ours"
    if "CASEKEEPER_KAFKA" not in os.environ:
        broker = (servers_folder / "kafka.log").read_text()
        assert "Kafka Server started" in broker, "the broker's log is the one that is looked at"
        assert marker not in broker
