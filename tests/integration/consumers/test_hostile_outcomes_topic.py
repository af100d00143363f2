"""A client goes on waiting for its outcome past whatever strangers put on the topic of outcomes."""

from __future__ import annotations

import json
import subprocess
import sys
from uuid import uuid4

import pytest
from hostile import COMPRESSIBLE, MARK, NotUtf8, Stranger
from publishing import Publisher, taking

from application.examples import BODIES
from application.settings import Settings
from consumers.topics import OUTCOMES

_CLIENT = """
import sys
from casekeeper_client.outcomes import Outcomes
waiting = Outcomes(sys.argv[1].split(","), sys.argv[2], sys.argv[3], {})
waiting.expect(sys.argv[4])
print("ready", flush=True)
print(type(waiting.wait([sys.argv[4]], 60)[0]).__name__, flush=True)
waiting.close()
"""


@pytest.fixture
def waiting(settings: Settings, publisher: Publisher):
    """A process with the client library alone, which waits for the outcome of a message; and the message's id."""
    message_id = str(uuid4())
    arguments = [settings.kafka, settings.topic(OUTCOMES), publisher.id, message_id]
    process = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process, message_id
    process.kill()
    process.wait()


def test_it_gets_its_outcome(service, settings: Settings, publisher: Publisher, waiting) -> None:
    process, message_id = waiting
    assert process.stdout.readline() == "ready\n"
    forged = {"message_id": [message_id], "publisher_id": publisher.id, "status": "accepted", "answer": {}}
    stranger = Stranger(settings, compression_type="lz4")
    for partition in range(4):
        for value in (None, b"", MARK.encode(), b"[" * 100_000, json.dumps(forged).encode(), b"x" * 8_000_000):
            stranger.put(OUTCOMES, value, message_id.encode(), partition=partition)
        stranger.put(OUTCOMES, COMPRESSIBLE, None, [(NotUtf8("name"), b"")], partition)
    stranger.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    data = {"actor": "forms-1", "purpose": "intake", "data": BODIES["register_subject"]}
    publisher.send_message({"message_id": message_id, "command": "register_subject", **data})
    with taking(service, settings):
        said, errors = process.communicate(timeout=70)

    assert said == "Accepted\n", errors[-500:]
