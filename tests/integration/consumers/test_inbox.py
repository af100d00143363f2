"""The inbox: commands carried out once and answered alike, hostile bytes set aside, nothing lost in an outage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from publishing import Publisher, answered, registered, taking

from application.caller import Caller
from application.examples import BODIES
from application.service import Service
from application.suppression import recognised_by
from store.log import EventLog
from tests.keyrings import files_of
from tests.waiting import until

KILLED = Path(__file__).with_name("inbox_killed.py")
PERSON = BODIES["register_subject"]
CANARY = "Zanzibarova"


def register(service: Service) -> str:
    caller = Caller("forms", "f1", frozenset({"service"}), "intake", "api", uuid4())
    return service.execute("register_subject", caller, {}, PERSON).body["id"]


def recipient(service: Service) -> str:
    officer = Caller("staff", "p1", frozenset({"privacy_officer"}), "rights", "api", uuid4())
    return service.execute("register_agreement", officer, {}, BODIES["register_agreement"]).body["recipient_id"]


def test_a_command_is_carried_out_and_answered(service, settings, publisher, answers) -> None:
    message_id = publisher.send("register_subject", PERSON, actor="forms-7")
    with taking(service, settings):
        [outcome] = answered(answers, message_id)

    assert outcome["status"] == "accepted"
    assert outcome["publisher_id"] == publisher.id
    stream = service.log.read_stream(outcome["answer"]["id"])
    event = json.loads(stream[0].record)
    assert (event["type"], event["producer"]) == ("SubjectRegistered", "inbox")
    assert event["actor"] == {"issuer": "forms", "id": "forms-7", "role": "service"}
    assert event["event_id"] in outcome["answer"]["receipt"]["event_ids"]
    assert answers.dead_letters() == []


def test_a_message_that_comes_twice_has_one_effect_and_one_answer(service, settings, publisher, answers) -> None:
    before = registered(service)
    message_id = str(uuid4())
    for _ in range(3):
        publisher.send("register_subject", PERSON, message_id=message_id)
    with taking(service, settings):
        answered(answers, message_id, times=3)

    assert registered(service) == before + 1
    first, *others = answers.outcomes()[message_id]
    assert others == [first, first]


def test_a_message_taken_by_two_members_at_once_has_one_effect(service, settings, publisher, answers) -> None:
    before = registered(service)
    ids = [str(uuid4()) for _ in range(10)]
    for message_id in ids:
        for partition in range(4):
            publisher.send("register_subject", PERSON, message_id=message_id, partition=partition)
    with taking(service, settings), taking(service, settings):
        answered(answers, *ids, times=4)

    assert registered(service) == before + 10
    assert all(len({json.dumps(o, sort_keys=True) for o in answers.outcomes()[i]}) == 1 for i in ids)


def test_a_member_killed_after_the_effect_leaves_one_effect_and_an_answer(
    service, settings, publisher, answers, service_stores
) -> None:
    before = registered(service)
    message_id = publisher.send("register_subject", PERSON)
    arguments = [*map(str, service_stores), settings.kafka, settings.topic_prefix]
    died = subprocess.run([sys.executable, str(KILLED), *arguments], check=False, capture_output=True, timeout=60)
    assert answers.outcomes() == {}
    with taking(service, settings):
        [outcome] = answered(answers, message_id)

    assert died.returncode == -signal.SIGKILL
    assert registered(service) == before + 1
    assert outcome["status"] == "accepted"


def test_messages_of_a_partition_are_taken_in_order(service, settings, publisher, answers) -> None:
    subject = register(service)
    case = {"subject_id": subject, "kind": "second_opinion"}
    ids = [publisher.send("open_case", case, partition=2) for _ in range(30)]
    with taking(service, settings):
        outcomes = answered(answers, *ids)

    positions = [outcome["answer"]["receipt"]["position"] for outcome in outcomes]
    assert positions == sorted(positions)


def test_a_person_on_the_suppression_list_is_set_aside_for_a_human(service, settings, publisher, answers) -> None:
    """The sender is told, the message is kept as it came, and can be sent again when a human has decided."""
    suppressed = {**PERSON, "identity": {**PERSON["identity"], "email": "suppressed@example.org"}}
    service.vault.suppression.enter(recognised_by({"email": "suppressed@example.org"}), service.clock())
    before, message_id = registered(service), str(uuid4())
    with taking(service, settings):
        publisher.send("register_subject", suppressed, message_id=message_id)
        [refused] = answered(answers, message_id)
        publisher.send("register_subject", suppressed, message_id=message_id)
        [again] = answered(answers, message_id, times=2)

    assert refused["problem"]["type"] == "urn:casekeeper:problem:registration-needs-review"
    assert again == refused
    assert registered(service) == before
    letters = answers.dead_letters()
    assert [dict(letter.headers)["ck-error"] for letter in letters] == [b"RuleRefused"] * 2
    assert all(letter.value for letter in letters)


def test_a_refusal_stays_the_same_when_the_message_comes_again(service, settings, publisher, answers) -> None:
    subject = register(service)
    terms = {**BODIES["grant_consent"], "subject_id": subject, "recipient_ids": [recipient(service)]}
    asked = {**terms, "decision": "asked"}
    withdrawal = {"subject_id": subject, "reason": "No."}
    again = str(uuid4())
    with taking(service, settings):
        [outcome] = answered(answers, publisher.send("grant_consent", asked, purpose="rights"))
        consent = outcome["answer"]["id"]
        withdrawal["consent_id"] = consent
        [refused] = answered(
            answers, publisher.send("withdraw_consent", withdrawal, purpose="rights", message_id=again)
        )
        granted = publisher.send("grant_consent", {**terms, "consent_id": consent}, purpose="rights")
        [accepted] = answered(answers, granted)
        publisher.send("withdraw_consent", withdrawal, purpose="rights", message_id=again)
        [repeated] = answered(answers, again, times=2)
        [withdrawn] = answered(answers, publisher.send("withdraw_consent", withdrawal, purpose="rights"))

    assert refused["problem"]["type"] == "urn:casekeeper:problem:consent-not-granted"
    assert accepted["status"] == "accepted"
    assert repeated == refused
    assert withdrawn["status"] == "accepted"


def test_a_message_id_used_for_something_else_is_refused(service, settings, publisher, answers) -> None:
    before = registered(service)
    message_id = publisher.send("register_subject", PERSON)
    with taking(service, settings):
        [first] = answered(answers, message_id)
        publisher.send("register_subject", {**PERSON, "language": "fr"}, message_id=message_id)
        [second] = answered(answers, message_id, times=2)

    assert first["status"] == "accepted"
    assert second["problem"]["type"] == "urn:casekeeper:problem:idempotency-key-reused"
    assert registered(service) == before + 1
    assert [dict(letter.headers)["ck-error"] for letter in answers.dead_letters()] == [b"IdempotencyKeyReused"]


def test_two_publishers_may_use_the_same_message_id(service, settings, publisher, answers) -> None:
    before = registered(service)
    other = Publisher(service, settings, "billing")
    message_id = publisher.send("register_subject", PERSON)
    other.send("register_subject", PERSON, message_id=message_id)
    with taking(service, settings):
        answered(answers, message_id, times=2)
    other.close()

    assert registered(service) == before + 2
    outcomes = answers.outcomes()[message_id]
    assert {(outcome["publisher_id"], outcome["status"]) for outcome in outcomes} == {
        (publisher.id, "accepted"),
        (other.id, "accepted"),
    }


def test_an_outage_of_the_keys_holds_messages_and_loses_none(
    service, settings, publisher, answers, service_stores, tmp_path
) -> None:
    keyring = files_of(service_stores.keyring)
    away = tmp_path / "away"
    ids = [publisher.send("register_subject", PERSON) for _ in range(5)]
    keyring.rename(away)
    try:
        with taking(service, settings) as part:
            until(lambda: part.said.code == "KeysUnavailable")
            held = answers.committed(), answers.outcomes(), answers.dead_letters()
            away.rename(keyring)
            outcomes = answered(answers, *ids)
            until(lambda: answers.committed() == 5)
    finally:
        if away.exists():
            away.rename(keyring)

    assert held == (0, {}, [])
    assert {outcome["status"] for outcome in outcomes} == {"accepted"}


def test_an_outage_of_the_store_holds_messages_and_loses_none(service, settings, publisher, answers) -> None:
    ids = [publisher.send("register_subject", PERSON) for _ in range(5)]
    _write(service.log, "UPDATE log_head SET admitted_for = 'an earlier incarnation'")
    with taking(service, settings) as part:
        until(lambda: part.said.code == "StoreUnavailable")
        held = answers.committed()
        service.log.admit_writes(service.log.admission().incarnation, 0)
        outcomes = answered(answers, *ids)

    assert held == 0
    assert {outcome["status"] for outcome in outcomes} == {"accepted"}


def _write(log: EventLog, statement: str) -> None:
    with log._reads.transaction() as cursor:
        cursor.execute(statement)
