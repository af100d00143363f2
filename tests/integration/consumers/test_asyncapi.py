"""``docs/asyncapi.yaml`` says what the code does."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from log_copy import LogCopy, record
from publishing import Answers, Publisher, taking

from application.examples import BODIES
from application.inbox_keys import current_jwk
from casekeeper_client.commands import Commands
from consumers import jose
from consumers.outcomes import MEDIA_TYPE
from consumers.published import RecordMac
from consumers.topics import TOPICS
from domain.registry import ACTOR_ID
from domain.vocabulary import PRODUCERS
from tests.outcome_tokens import parts
from tests.waiting import until

DOCUMENT = yaml.safe_load((Path(__file__).parents[3] / "docs" / "asyncapi.yaml").read_text())
CHANNELS = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}


def matches(name: str, part: str, value: Any) -> None:
    """Raise unless a value fits the schema of a message's payload or headers."""
    schema = {**DOCUMENT["components"]["messages"][name][part], "components": DOCUMENT["components"]}
    jsonschema.validate(value, schema)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_topic_is_described_as_it_is_made(topic) -> None:
    described = CHANNELS[topic.name]["bindings"]["kafka"]

    assert described["partitions"] == topic.partitions
    stated = {name: str(value) for name, value in described["topicConfiguration"].items() if name != "cleanup.policy"}
    assert stated == {name: topic.configs()[name] for name in stated}
    assert described["topicConfiguration"]["cleanup.policy"] == [topic.configs()["cleanup.policy"]]


def test_no_other_topic_is_described() -> None:
    assert set(CHANNELS) == {topic.name for topic in TOPICS}


def test_references_lead_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        found = DOCUMENT
        for step in reference.split("/"):
            found = found[step]
        assert found


def test_an_event_on_the_topic_fits(log_copy: LogCopy) -> None:
    log_copy.admit()
    log_copy.append(record())
    with log_copy.relaying():
        [message] = until(log_copy.raw)

    matches("event", "headers", {name: value.decode() for name, value in message.headers})
    matches("event", "payload", json.loads(message.value))


def test_outcomes_and_dead_letters_fit(service, settings) -> None:
    publisher, answers = Publisher(service, settings), Answers(settings)
    accepted = publisher.send("register_subject", BODIES["register_subject"])
    rejected = publisher.send("register_subject", {})
    publisher.put(b"not JOSE")
    with taking(service, settings):
        signed = until(lambda: (found := answers.signed()) and len(found) == 2 and found)
        [letter] = until(answers.dead_letters)
    publisher.close()
    answers.close()

    outcomes = {message.key.decode(): parts(message.value)[1] for message in signed}
    matches("accepted", "payload", outcomes[accepted])
    matches("rejected", "payload", outcomes[rejected])
    matches("deadLetter", "headers", {name: value.decode() for name, value in letter.headers})


def test_the_commands_are_those_the_client_has_calls_for() -> None:
    calls = {name for name in vars(Commands) if not name.startswith("_")} - {"publish"}
    command = DOCUMENT["components"]["messages"]["command"]["payload"]["properties"]

    assert set(command["command"]["enum"]) == calls
    assert command["actor"]["pattern"].strip("^$") == "[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
    assert ACTOR_ID.conforms("forms-1")
    assert set(DOCUMENT["components"]["messages"]["event"]["payload"]["properties"]["producer"]["enum"]) == PRODUCERS


def test_the_algorithms_are_those_the_inbox_takes(service) -> None:
    said = DOCUMENT["components"]["messages"]["command"]["description"]

    assert all(word in said for word in (jose.JWE_ALG, jose.JWE_ENC, jose.JWS_ALG, str(jose.MAX_TOKEN_BYTES)))
    assert current_jwk(service.vault, datetime.now(UTC))["alg"] == jose.JWE_ALG


@pytest.mark.parametrize("name", ["accepted", "rejected"])
def test_the_algorithm_is_the_one_outcomes_are_signed_with(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]

    assert message["contentType"] == "application/jose"
    assert all(word in message["description"] for word in (jose.JWS_ALG, MEDIA_TYPE, "/v1/outcome-keys"))


def test_the_mac_is_the_one_described() -> None:
    key, value = b"stream", b"{}"
    headers = dict(RecordMac(b"k" * 32).headers(7, key, value, "CaseOpened", 1))
    parts = (b"7", key, value, b"CaseOpened", b"1")
    text = b"".join(struct.pack(">Q", len(part)) + part for part in parts)

    assert headers["ck-mac"].decode() == hmac.new(b"k" * 32, text, hashlib.sha256).hexdigest()
