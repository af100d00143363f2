"""JSON that this service does not read, and faults of its own, cost one message and never stop the inbox."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from log_copy import running, wait_until
from publishing import answered, registered, taking

from application.examples import BODIES
from application.service import Service
from consumers.inbox import Inbox
from consumers.inbox_handler import InboxHandler

PERSON = BODIES["register_subject"]


def payload(data: str, command: str = "register_subject") -> bytes:
    """Return a message whose data is this text."""
    head = {"message_id": str(uuid4()), "command": command, "actor": "forms-1", "purpose": "intake"}
    return f'{json.dumps(head)[:-1]}, "data": {data}}}'.encode()


def nested(depth: int) -> str:
    return '{"deep": ' + "[" * depth + "]" * depth + "}"


UNREAD = {
    "a number too large": payload('{"amount": 1e400}'),
    "a number too small": payload('{"amount": [-1e400]}'),
    "too large, unknown command": payload('{"amount": 1e400}', "no_such_command"),
    "constant": payload('{"amount": Infinity}'),
    "a name twice, deep inside": payload('{"a": [{"b": 1, "b": 1}]}'),
    "half a character": payload('{"name": "\\ud83d"}'),
    "digits": payload('{"amount": ' + "9" * 5000 + "}"),
    **{f"nested {depth} deep": payload(nested(depth)) for depth in (150, 700, 900, 940, 960, 980, 990, 1010)},
}


def test_json_that_is_not_read_is_set_aside_and_the_next_message_is_taken(
    service, settings, publisher, answers
) -> None:
    before = registered(service)
    for name, text in UNREAD.items():
        publisher.put(publisher.encrypt(publisher.sign(text)).encode(), name, partition=1)
    last = publisher.send("register_subject", PERSON, partition=1)
    with taking(service, settings) as part:
        [outcome] = answered(answers, last)
        letters = wait_until(lambda: (found := answers.dead_letters()) and len(found) == len(UNREAD) and found)

    assert {letter.key.decode(): dict(letter.headers)["ck-error"] for letter in letters} == dict.fromkeys(
        UNREAD, b"InvalidInput"
    )
    assert outcome["status"] == "accepted"
    assert list(answers.outcomes()) == [last]
    assert registered(service) == before + 1
    assert part.said.code == ""


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
        [letter] = wait_until(answers.dead_letters)

    assert failed["problem"]["type"] == "urn:casekeeper:problem:internal-error"
    assert "nobody may see" not in json.dumps(failed)
    assert dict(letter.headers)["ck-error"] == type(fault).__name__.encode()
    assert done["status"] == "accepted"
