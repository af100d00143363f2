"""Each typed call builds the message of its command, in the shapes of the HTTP bodies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from casekeeper_client import Accepted, InboxKeyUnavailable, Rejected
from casekeeper_client.commands import Commands
from casekeeper_client.inbox_key import InboxKey

SUBJECT = "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"
CASE = "5d4a64b2-5a3c-4f6e-8f5e-1f0f6c9d2b22"
INTAKE = "7f2f0ab8-0f58-4a52-a0e8-93b8a2a3e533"
FORM = {"form": "medical_intake", "form_version": 1, "answers": {"reason": "r"}, "notice": {"policy_version": "1"}}


class Recorded(Commands):
    """Keeps what would be published."""

    def publish(
        self,
        command: str,
        data: Mapping[str, Any],
        *,
        purpose: str = "intake",
        actor: Any = None,
        message_id: Any = None,
    ) -> str:
        self.last = (command, purpose, dict(data))
        return message_id or "m1"


@pytest.fixture
def commands() -> Recorded:
    return Recorded()


def test_register_subject(commands: Recorded) -> None:
    commands.register_subject({"given_name": "Ada"}, "Europe/Berlin", "de", "2")

    data = {
        "identity": {"given_name": "Ada"},
        "time_zone": "Europe/Berlin",
        "language": "de",
        "notice": {"policy_version": "2"},
    }
    assert commands.last == ("register_subject", "intake", data)


def test_open_case(commands: Recorded) -> None:
    commands.open_case(SUBJECT, "second_opinion")

    assert commands.last == ("open_case", "intake", {"subject_id": SUBJECT, "kind": "second_opinion"})


def test_submit_intake(commands: Recorded) -> None:
    commands.submit_intake(CASE, "medical_intake", 1, {"reason": "r"}, "1")

    assert commands.last == ("submit_intake", "intake", {"case_id": CASE, **FORM})


def test_amend_intake(commands: Recorded) -> None:
    commands.amend_intake(CASE, INTAKE, "medical_intake", 1, {"reason": "r"}, "1")

    assert commands.last == ("amend_intake", "intake", {"case_id": CASE, "intake_id": INTAKE, **FORM})


def test_grant_consent(commands: Recorded) -> None:
    commands.grant_consent(SUBJECT, {"purpose": "treatment"})

    assert commands.last == ("grant_consent", "rights", {"subject_id": SUBJECT, "purpose": "treatment"})


def test_withdraw_consent(commands: Recorded) -> None:
    commands.withdraw_consent(SUBJECT, CASE)

    assert commands.last == ("withdraw_consent", "rights", {"subject_id": SUBJECT, "consent_id": CASE})


def test_receive_request(commands: Recorded) -> None:
    commands.receive_request(SUBJECT, "erasure", "web", categories=["medical"])

    scope = {"categories": ["medical"], "case_ids": None}
    data = {"subject_id": SUBJECT, "right": "erasure", "channel": "web", "scope": scope}
    assert commands.last == ("receive_request", "rights", data)


def test_a_message_id_given_is_kept(commands: Recorded) -> None:
    assert commands.open_case(SUBJECT, "second_opinion", message_id=CASE) == CASE


def test_outcomes_say_what_matters() -> None:
    accepted = Accepted("m1", {"id": CASE, "receipt": {"position": 7}})
    rejected = Rejected("m2", {"type": "urn:casekeeper:problem:case-closed", "title": "The case is closed"})

    assert (accepted.id, accepted.position) == (CASE, 7)
    assert (rejected.type, rejected.title) == ("urn:casekeeper:problem:case-closed", "The case is closed")


@pytest.mark.parametrize("source", ["ftp://x/key", "key.json", {}, {"crv": "X25519", "x": "AA"}])
def test_an_inbox_key_is_a_jwk_or_an_address(source: Any) -> None:
    with pytest.raises(InboxKeyUnavailable):
        InboxKey(source)


def test_the_client_needs_nothing_of_the_service() -> None:
    program = (
        "import sys, casekeeper_client; "
        "ours = {'domain', 'vault', 'store', 'application', 'projections', 'audit', 'consumers', 'api', 'cli', 'ops'}; "
        "theirs = {'psycopg2', 'flask', 'marshmallow', 'eventsourcing', 'structlog'}; "
        "print(sorted((ours | theirs) & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"
