"""The client library against a real inbox: publish, wait, publish again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from listening_api import listening
from publishing import registered_client, taking

from application.caller import Caller
from application.examples import BODIES
from application.inbox_keys import rotate
from application.service import Service
from application.settings import Settings
from casekeeper_client import Accepted, Client, InboxKeyUnavailable, NoOutcome, Rejected

PERSON = BODIES["register_subject"]


@pytest.fixture
def client(service: Service, settings: Settings) -> Iterator[Client]:
    with registered_client(service, settings) as made:
        yield made


def register(client: Client) -> str:
    return client.register_subject(PERSON["identity"], PERSON["time_zone"], "en", "1")


def test_every_command_of_a_service_is_accepted(service: Service, settings: Settings, client: Client) -> None:
    officer = Caller("staff", "p1", frozenset({"privacy_officer"}), "rights", "api", uuid4())
    recipient = service.execute("register_agreement", officer, {}, BODIES["register_agreement"]).body["recipient_id"]
    intake = BODIES["submit_intake"]
    form = ("medical_intake", 1, intake["answers"], "1")
    terms = {**BODIES["grant_consent"], "recipient_ids": [recipient]}
    with taking(service, settings):

        def made(message_id: str) -> str:
            outcome = client.wait_for_outcome(message_id)
            assert isinstance(outcome, Accepted), outcome
            assert outcome.position > 0
            return outcome.id or ""

        person = made(register(client))
        case = made(client.open_case(person, "second_opinion"))
        intake_id = made(client.submit_intake(case, *form))
        made(client.amend_intake(case, intake_id, *form))
        consent = made(client.grant_consent(person, terms))
        made(client.withdraw_consent(person, consent, "I changed my mind."))
        made(client.receive_request(person, "access", "web"))

    assert [json.loads(s.record)["type"] for s in service.log.read_stream(person)] == [
        "SubjectRegistered",
        "NoticeServed",
        "ConsentGranted",
        "ConsentWithdrawn",
        "RightsRequestReceived",
    ]


def test_a_refusal_is_told_with_its_problem(service: Service, settings: Settings, client: Client) -> None:
    with taking(service, settings):
        outcome = client.wait_for_outcome(client.open_case(uuid4(), "second_opinion"))

    assert isinstance(outcome, Rejected)
    assert (outcome.type, outcome.problem["status"]) == ("urn:casekeeper:problem:not-found", 404)


def test_many_messages_are_published_and_awaited_together(service: Service, settings: Settings, client: Client) -> None:
    with taking(service, settings):
        ids = client.publish_many([("register_subject", PERSON)] * 50)
        outcomes = client.wait_for_outcomes(ids, timeout=60)

    assert [outcome.message_id for outcome in outcomes] == ids
    assert len({outcome.id for outcome in outcomes if isinstance(outcome, Accepted)}) == 50


def test_without_an_outcome_publishing_again_is_safe(service: Service, settings: Settings, client: Client) -> None:
    message_id = register(client)
    with pytest.raises(NoOutcome) as none:
        client.wait_for_outcome(message_id, timeout=0.3)
    with taking(service, settings):
        first = client.wait_for_outcome(message_id)
        client.publish("register_subject", PERSON, message_id=message_id)
        second = client.wait_for_outcome(message_id)

    assert none.value.message_ids == (message_id,)
    assert first == second


def test_an_answer_that_comes_after_the_message_was_published_again_counts(
    service: Service, settings: Settings, client: Client
) -> None:
    """Else a publisher that has less patience than the service has work would never get an answer."""
    message_id = register(client)
    client._outcomes.expect(message_id, b"published again, and not answered yet")
    with taking(service, settings):
        outcome = client.wait_for_outcome(message_id)

    assert isinstance(outcome, Accepted)


def test_threads_share_a_client(service: Service, settings: Settings, client: Client) -> None:
    outcomes: list[object] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(client.wait_for_outcome(register(client), timeout=60)))
        for _ in range(8)
    ]
    with taking(service, settings):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(outcomes) == 8
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)


def test_the_keys_can_be_fetched_from_where_the_api_publishes_them(service: Service, settings: Settings) -> None:
    rotate(service.vault, datetime.now(UTC))
    with (
        listening(service, settings) as api,
        registered_client(service, settings, api.inbox_key) as client,
        taking(service, settings),
    ):
        outcome = client.wait_for_outcome(register(client))

    assert isinstance(outcome, Accepted)
    assert api.calls == {"/v1/inbox-key": 1, "/v1/outcome-keys": 1}


def test_an_address_without_a_key_is_an_error_that_says_so(service: Service, settings: Settings) -> None:
    nothing_there = "http://127.0.0.1:9/v1/inbox-key"
    with registered_client(service, settings, nothing_there) as client, pytest.raises(InboxKeyUnavailable):
        register(client)
