"""A message that comes again is answered as the first time, also on another day and when its body's MAC key is gone."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from publishing import Answers, Publisher, answered, registered, taking

from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from tests.days_later import days_later

PERSON = BODIES["register_subject"]
NOBODY = {"subject_id": str(uuid4()), "kind": "second_opinion"}


SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "accepted": ("register_subject", PERSON),
    "refused by a rule": ("open_case", NOBODY),
    "refused by its schema": ("register_subject", {**PERSON, "language": 7}),
    "refused by its shape": ("no_such_command", {}),
}


@pytest.mark.parametrize("days", [1, 2])
def test_a_repeat_on_another_day_gets_the_first_answer(
    service: Service, settings: Settings, publisher: Publisher, answers: Answers, days: int
) -> None:
    ids = {name: str(uuid4()) for name in SENT}

    def send_all() -> None:
        for name, (command, data) in SENT.items():
            publisher.send(command, data, message_id=ids[name])

    send_all()
    with taking(service, settings):
        first = answered(answers, *ids.values())
    before = service.log.head()
    later = days_later(service, days)
    send_all()
    with taking(later, settings):
        again = answered(answers, *ids.values(), times=2)

    assert [outcome["status"] for outcome in first] == ["accepted", "rejected", "rejected", "rejected"]
    assert again == first
    assert service.log.head() == before
    assert answers.dead_letters() == []


def test_when_the_bodies_cannot_be_compared_the_message_id_alone_tells(
    service: Service, settings: Settings, publisher: Publisher, answers: Answers
) -> None:
    """Its publisher is known and chose it once; a command of another name is another message all the same."""
    message_id, other_id = publisher.send("register_subject", PERSON), publisher.send("register_subject", PERSON)
    with taking(service, settings):
        [first, _] = answered(answers, message_id, other_id)
    before = registered(service)
    later = days_later(service, 2)
    publisher.send("register_subject", {**PERSON, "language": 7}, message_id=message_id)
    publisher.send("open_case", NOBODY, message_id=other_id)
    with taking(later, settings):
        [again, other] = answered(answers, message_id, other_id, times=2)

    assert again == first
    assert other["problem"]["type"] == "urn:casekeeper:problem:idempotency-key-reused"
    assert registered(service) == before
