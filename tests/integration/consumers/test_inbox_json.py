"""JSON that this service does not read, and faults of its own, cost one message and never stop the inbox."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from log_copy import running
from publishing import answered, registered, taking

from application.examples import BODIES
from application.service import Service
from consumers.inbox import Inbox
from consumers.inbox_handler import InboxHandler
from tests.waiting import until

PERSON = BODIES["register_subject"]


def payload(data: str, command: str = "register_subject", message_id: str = "") -> bytes:
    """Return a message whose data is this text."""
    head = {"message_id": message_id or str(uuid4()), "command": command, "actor": "forms-1", "purpose": "intake"}
    return f'{json.dumps(head)[:-1]}, "data": {data}}}'.encode()


def nested(depth: int) -> str:
    return '{"deep": ' + "[" * depth + "]" * depth + "}"


MALFORMED = {
    "a number too large": ('{"name": 1e400}', "data.name"),
    "a number too small": ('{"name": [-1e400]}', "data.name.0"),
    "constant": ('{"name": Infinity}', "data.name"),
    "a name twice, deep inside": ('{"a": [{"b": 1, "b": 1}]}', "data.(unnamed).0.(unnamed)"),
    "half a character": ('{"name": "\\ud83d"}', "data.name"),
    "a person's name twice": ('{"Zanzibarova": 1, "Zanzibarova": 1}', "data.(unnamed)"),
    "a person's name in small letters": ('{"identity": {"zanzibarova": Infinity}}', "data.identity.(unnamed)"),
    "digits": ('{"amount": ' + "9" * 5000 + "}", "body"),
    "nested 150 deep": (nested(150), "data.(unnamed)." + ".".join(["0"] * 98)),
    "nested 700 deep": (nested(700), "data.(unnamed)." + ".".join(["0"] * 98)),
}


def test_a_publisher_is_told_which_field_of_its_message_is_not_read(service, settings, publisher, answers) -> None:
    before = registered(service)
    ids = {name: str(uuid4()) for name in MALFORMED}
    for name, (data, _) in MALFORMED.items():
        text = payload(data, message_id=ids[name])
        publisher.put(publisher.encrypt(publisher.sign(text)).encode(), name, partition=1)
    last = publisher.send("register_subject", PERSON, partition=1)
    with taking(service, settings):
        outcomes = dict(zip(ids, answered(answers, *ids.values()), strict=True))
        [done] = answered(answers, last)

    problems = {name: outcome["problem"] for name, outcome in outcomes.items()}
    slugs = {name: problem["type"].rpartition(":")[2] for name, problem in problems.items()}
    assert slugs == {name: "invalid-input" if name == "half a character" else "malformed-json" for name in MALFORMED}
    assert {name: problem["errors"][0]["field"] for name, problem in problems.items()} == {
        name: field for name, (_, field) in MALFORMED.items()
    }
    assert "zanzibarova" not in json.dumps(outcomes).lower()
    assert done["status"] == "accepted"
    assert registered(service) == before + 1
    assert answers.dead_letters() == []


def test_the_refusal_of_a_malformed_message_stays_one(service, settings, publisher, answers) -> None:
    message_id = str(uuid4())
    malformed = payload('{"amount": Infinity}', message_id=message_id)
    for _ in range(2):
        publisher.put(publisher.encrypt(publisher.sign(malformed)).encode(), message_id, partition=1)
    mended = {
        "message_id": message_id,
        "command": "register_subject",
        "actor": "f",
        "purpose": "intake",
        "data": PERSON,
    }
    publisher.send_message(mended, partition=1)
    with taking(service, settings):
        answered(answers, message_id, times=3)

    said = [outcome["problem"]["type"].rpartition(":")[2] for outcome in answers.outcomes()[message_id]]
    assert said == ["malformed-json", "malformed-json", "idempotency-key-reused"]


UNREAD = {
    "two ids": b'{"message_id": "%s", ' % str(uuid4()).encode() + payload("{}")[1:],
    "an id inside": b'{"data": ' + payload("NaN") + b"}",
    "cut off": payload("{}")[:-1],
    "not UTF-8": payload("{}")[:-1] + b', "x": "\xff"}',
    "nested 1010 deep": payload(nested(1010)),
}
BORDER = [payload(nested(depth)) for depth in (900, 940, 960, 980, 990)]


def test_what_names_no_one_message_is_set_aside_and_the_next_is_taken(service, settings, publisher, answers) -> None:
    before = registered(service)
    keys = {str(uuid4()): name for name in UNREAD}
    for key, name in keys.items():
        publisher.put(publisher.encrypt(publisher.sign(UNREAD[name])).encode(), key, partition=1)
    for text in BORDER:
        publisher.put(publisher.encrypt(publisher.sign(text)).encode(), "border", partition=1)
    last = publisher.send("register_subject", PERSON, partition=1)
    with taking(service, settings) as part:
        [outcome] = answered(answers, last)
        until(lambda: part.said.code == "", 30, "the inbox to be well")
    letters = answers.dead_letters()

    assert outcome["status"] == "accepted"
    assert registered(service) == before + 1
    assert [keys[letter.key.decode()] for letter in letters if letter.key] == list(UNREAD)
    assert {dict(letter.headers)["ck-error"] for letter in letters} == {b"InvalidInput"}
    # How deep Python reads is its own affair; but each is either answered or set aside.
    assert len(letters) + len(answers.outcomes()) == len(UNREAD) + len(BORDER) + 1


@pytest.mark.parametrize("text", ["a\x00b", "a\x07b"])
def test_a_control_character_is_refused_with_an_outcome(service, settings, publisher, answers, text) -> None:
    person = {**PERSON, "identity": {**PERSON["identity"], "given_name": text}}
    message_id = publisher.send("register_subject", person, partition=1)
    with taking(service, settings):
        [outcome] = answered(answers, message_id)

    assert outcome["problem"]["type"] == "urn:casekeeper:problem:invalid-input"
    assert [error["field"] for error in outcome["problem"]["errors"]] == ["identity.given_name"]
    assert answers.dead_letters() == []


class Faulty(Service):
    """The service with a fault of its own: it fails when it is to remember a refusal."""

    fault: Exception

    def record_rejection(self, *_args: Any, **_named: Any) -> None:
        raise self.fault


@pytest.fixture
def faulty(service: Service) -> Faulty:
    return Faulty(service.resources, service.reading, service.clock)


@pytest.mark.parametrize("fault", [ValueError("text that nobody may see"), RecursionError()])
def test_a_fault_while_a_refusal_is_recorded_costs_one_message(
    service, faulty, settings, publisher, answers, fault
) -> None:
    faulty.fault = fault
    refused = publisher.send("register_subject", {**PERSON, "language": "?"}, partition=1)
    last = publisher.send("register_subject", PERSON, partition=1)
    with running("inbox", lambda report: Inbox(settings, InboxHandler(faulty), report).run):
        failed, done = answered(answers, refused, last)
        [letter] = until(answers.dead_letters)

    assert failed["problem"]["type"] == "urn:casekeeper:problem:internal-error"
    assert "nobody may see" not in json.dumps(failed)
    assert dict(letter.headers)["ck-error"] == type(fault).__name__.encode()
    assert done["status"] == "accepted"
