"""The client library against a real inbox: publish, wait, publish again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import pytest
from publishing import OPERATOR, taking

from application.caller import Caller
from application.examples import BODIES
from application.inbox_keys import current_jwk, rotate
from application.service import Service
from application.settings import Settings
from casekeeper_client import Accepted, Client, InboxKeyUnavailable, NoOutcome, Rejected, new_key_pair

PERSON = BODIES["register_subject"]


def registered_client(service: Service, settings: Settings, inbox_key: object) -> Client:
    private, public = new_key_pair()
    body = {"service": "web-forms", "public_key": public}
    publisher_id = service.execute("register_publisher", OPERATOR, {}, body).body["id"]
    return Client(settings.kafka, inbox_key, publisher_id, private, settings.topic_prefix, actor="forms-1")


@pytest.fixture
def client(service: Service, settings: Settings) -> Iterator[Client]:
    with registered_client(service, settings, current_jwk(service.vault, datetime.now(UTC))) as made:
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


def test_the_inbox_key_can_be_fetched_from_its_address(service: Service, settings: Settings) -> None:
    rotate(service.vault, datetime.now(UTC))

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(current_jwk(service.vault, datetime.now(UTC))).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1/inbox-key"
    with registered_client(service, settings, address) as client, taking(service, settings):
        outcome = client.wait_for_outcome(register(client))
    server.shutdown()
    server.server_close()

    assert isinstance(outcome, Accepted)


def test_an_address_without_a_key_is_an_error_that_says_so(service: Service, settings: Settings) -> None:
    nothing_there = "http://127.0.0.1:9/v1/inbox-key"
    with registered_client(service, settings, nothing_there) as client, pytest.raises(InboxKeyUnavailable):
        register(client)
