"""The inbox: commands carried out once and answered alike, hostile bytes set aside, nothing lost in an outage."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwe, jws
from joserfc.jwk import OctKey, OKPKey
from log_copy import wait_until
from publishing import OPERATOR, Answers, Publisher, taking

from application.caller import Caller
from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from store.log import EventLog

KILLED = Path(__file__).with_name("inbox_killed.py")
PERSON = BODIES["register_subject"]
CANARY = "Zanzibarova"


@pytest.fixture
def publisher(service: Service, settings: Settings) -> Iterator[Publisher]:
    made = Publisher(service, settings)
    yield made
    made.close()


@pytest.fixture
def answers(settings: Settings) -> Iterator[Answers]:
    made = Answers(settings)
    yield made
    made.close()


def answered(answers: Answers, *message_ids: str, times: int = 1) -> list[dict[str, Any]]:
    """Wait for the outcomes of these messages and return the last of each."""

    def look() -> list[dict[str, Any]] | None:
        found = answers.outcomes()
        return [found[i][-1] for i in message_ids] if all(len(found[i]) >= times for i in message_ids) else None

    return wait_until(look)


def registered(service: Service) -> int:
    """Return how many people the log has."""
    return sum(stored.type == "SubjectRegistered" for stored in service.log.read_from(1, 10_000))


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
    arguments = [*service_stores, settings.kafka, settings.topic_prefix]
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


def message(*without: str, **changes: Any) -> dict[str, Any]:
    fields = {"command": "register_subject", "actor": "forms-1", "purpose": "intake", "data": PERSON, **changes}
    return {"message_id": str(uuid4()), **{name: value for name, value in fields.items() if name not in without}}


REFUSED = {
    "no actor": (message("actor"), "invalid-input"),
    "a name as the actor": (message(actor=f"{CANARY} M."), "invalid-input"),
    "unknown purpose": (message(purpose=CANARY), "invalid-input"),
    "another purpose": (message(purpose="rights"), "not-allowed"),
    "unknown command": (message(command=CANARY), "invalid-input"),
    "not for the inbox": (message(command="approve_erasure"), "not-allowed"),
    "data is a list": (message(data=[CANARY]), "invalid-input"),
    "no data": (message("data"), "invalid-input"),
    "no identifier": (message(command="submit_intake"), "invalid-input"),
    "extra field": ({**message(), CANARY.lower(): CANARY}, "invalid-input"),
    "too deep": (message(data={**PERSON, "deep": json.loads("[" * 40 + "]" * 40)}), "invalid-input"),
    "does not fit": (message(data={**PERSON, "language": CANARY}), "invalid-input"),
}


def test_what_a_publisher_may_not_ask_is_refused_with_a_problem(service, settings, publisher, answers) -> None:
    before = registered(service)
    ids = {name: publisher.send_message(sent) for name, (sent, _) in REFUSED.items()}
    with taking(service, settings):
        outcomes = dict(zip(ids, answered(answers, *ids.values()), strict=True))

    found = {name: outcome["problem"]["type"].rpartition(":")[2] for name, outcome in outcomes.items()}
    assert found == {name: slug for name, (_, slug) in REFUSED.items()}
    assert outcomes["too deep"]["problem"]["errors"] == [{"field": "data", "problem": "is nested deeper than 32"}]
    assert registered(service) == before
    assert CANARY.lower() not in json.dumps(outcomes).lower()


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


MESSAGE = {"command": "register_subject", "actor": "forms-1", "purpose": "intake", "data": {**PERSON, "x": CANARY}}


def payload() -> bytes:
    return json.dumps({"message_id": str(uuid4()), **MESSAGE}).encode()


def tampered(token: str, segment: int) -> str:
    parts = token.split(".")
    middle = len(parts[segment]) // 2
    swapped = "A" if parts[segment][middle] != "A" else "B"
    parts[segment] = parts[segment][:middle] + swapped + parts[segment][middle + 1 :]
    return ".".join(parts)


def hmac_with_public_key(p: Publisher) -> str:
    key = OctKey.import_key(p.key.as_dict(private=False)["x"])
    return p.encrypt(jws.serialize_compact({"alg": "HS256", "kid": p.id}, payload(), key, algorithms=["HS256"]))


def embedded_key(p: Publisher) -> str:
    own = OKPKey.generate_key("Ed25519")
    header = {"alg": "EdDSA", "kid": p.id, "jwk": own.as_dict(private=False)}
    return p.encrypt(jws.serialize_compact(header, payload(), own, algorithms=["EdDSA"]))


def of_another_curve(p: Publisher) -> str:
    own = OKPKey.generate_key("Ed448")
    return p.encrypt(jws.serialize_compact({"alg": "EdDSA", "kid": p.id}, payload(), own, algorithms=["EdDSA"]))


def symmetric(p: Publisher) -> str:
    key = OctKey.generate_key(256)
    header = {"alg": "dir", "enc": "A256GCM", "kid": p.id}
    return jwe.encrypt_compact(header, p.sign(payload()), key, algorithms=["dir", "A256GCM"])


def to_an_unknown_key(p: Publisher) -> str:
    return p.encrypt(p.sign(payload()), kid="20200101000000-00000000")


def of_an_unknown_publisher(p: Publisher) -> str:
    return p.encrypt(p.sign(payload(), kid=str(uuid4())))


def of_a_revoked_publisher(p: Publisher) -> str:
    gone = Publisher(p.service, p.settings, "gone")
    p.service.execute("revoke_publisher", OPERATOR, {"publisher_id": gone.id}, {})
    gone.close()
    return gone.encrypt(gone.sign(payload()))


def in_the_name_of_another_publisher(p: Publisher) -> str:
    other = Publisher(p.service, p.settings, "other")
    other.close()
    return p.encrypt(p.sign(payload(), kid=other.id))


HOSTILE: dict[str, tuple[Callable[[Publisher], str | bytes], bytes]] = {
    "no JOSE": (lambda p: CANARY, b"NotAuthenticated"),
    "nothing": (lambda p: b"", b"NotAuthenticated"),
    "not text": (lambda p: bytes(range(256)), b"NotAuthenticated"),
    "signed only": (lambda p: p.sign(payload()), b"NotAuthenticated"),
    "five empty parts": (lambda p: "....", b"NotAuthenticated"),
    "header of brackets": (lambda p: ".".join([b64(b"[" * 700), "A", "A", "A", "A"]), b"NotAuthenticated"),
    "unsigned": (lambda p: p.encrypt(f"{b64({'alg': 'none', 'kid': p.id})}.{b64(payload())}."), b"NotAuthenticated"),
    "MAC by the public key": (hmac_with_public_key, b"NotAuthenticated"),
    "brings its own key": (embedded_key, b"NotAuthenticated"),
    "names a key's address": (lambda p: p.encrypt(p.sign(payload(), jku="https://x.example/")), b"NotAuthenticated"),
    "another curve": (of_another_curve, b"NotAuthenticated"),
    "symmetric": (symmetric, b"NotAuthenticated"),
    "another key agreement": (lambda p: p.encrypt(p.sign(payload()), alg="ECDH-ES+A128KW"), b"NotAuthenticated"),
    "another cipher": (lambda p: p.encrypt(p.sign(payload()), enc="A128GCM"), b"NotAuthenticated"),
    "compressed": (lambda p: p.encrypt(p.sign(payload()), zip="DEF"), b"NotAuthenticated"),
    "no inbox key named": (lambda p: p.encrypt(p.sign(payload()), kid=""), b"NotAuthenticated"),
    "unknown inbox key": (to_an_unknown_key, b"NotAuthenticated"),
    "unknown publisher": (of_an_unknown_publisher, b"RuleRefused"),
    "another publisher's name": (in_the_name_of_another_publisher, b"NotAuthenticated"),
    "publisher is no id": (lambda p: p.encrypt(p.sign(payload(), kid="../../x")), b"NotAuthenticated"),
    "revoked publisher": (of_a_revoked_publisher, b"RuleRefused"),
    "tampered ciphertext": (lambda p: tampered(p.encrypt(p.sign(payload())), 3), b"NotAuthenticated"),
    "tampered header": (lambda p: tampered(p.encrypt(p.sign(payload())), 0), b"NotAuthenticated"),
    "tampered payload": (lambda p: p.encrypt(tampered(p.sign(payload()), 1)), b"NotAuthenticated"),
    "tampered signature": (lambda p: p.encrypt(tampered(p.sign(payload()), 2)), b"NotAuthenticated"),
    "too large": (lambda p: p.encrypt(p.sign(b" " * 400_000)), b"NotAuthenticated"),
    "not JSON": (lambda p: p.encrypt(p.sign(CANARY.encode())), b"InvalidInput"),
    "brackets": (lambda p: p.encrypt(p.sign(b"[" * 100_000)), b"InvalidInput"),
    "a list": (lambda p: p.encrypt(p.sign(b"[]")), b"InvalidInput"),
    "a name twice": (lambda p: p.encrypt(p.sign(payload()[:-1] + b',"purpose":"intake"}')), b"InvalidInput"),
    "half a character": (lambda p: p.encrypt(p.sign(b'{"message_id": "\\ud800"}')), b"InvalidInput"),
    "not a number": (lambda p: p.encrypt(p.sign(b'{"message_id": NaN}')), b"InvalidInput"),
    "no message id": (lambda p: p.encrypt(p.sign(json.dumps(MESSAGE).encode())), b"InvalidInput"),
}


def test_hostile_messages_are_set_aside_as_they_came_and_stop_nothing(service, settings, publisher, answers) -> None:
    before = registered(service)
    sent = {}
    for name, (make, _) in HOSTILE.items():
        made = make(publisher)
        sent[name] = made.encode() if isinstance(made, str) else made
        publisher.put(sent[name], name)
    last = publisher.send("register_subject", PERSON)
    with taking(service, settings) as part:
        answered(answers, last)
        letters = wait_until(lambda: (found := answers.dead_letters()) and len(found) == len(HOSTILE) and found)

    by_name = {letter.key.decode(): letter for letter in letters}
    assert {name: letter.value for name, letter in by_name.items()} == sent
    errors = {name: dict(letter.headers)["ck-error"] for name, letter in by_name.items()}
    assert errors == {name: error for name, (_, error) in HOSTILE.items()}
    assert all(dict(letter.headers)["ck-where"].startswith((b"consumers/", b"domain/")) for letter in letters)
    assert list(answers.outcomes()) == [last]
    assert registered(service) == before + 1
    assert part.said.code == ""


def test_an_outage_of_the_keys_holds_messages_and_loses_none(
    service, settings, publisher, answers, service_stores
) -> None:
    keyring = Path(service_stores[2])
    away = keyring.with_name("keyring-away")
    ids = [publisher.send("register_subject", PERSON) for _ in range(5)]
    keyring.rename(away)
    try:
        with taking(service, settings) as part:
            wait_until(lambda: part.said.code == "KeysUnavailable")
            held = answers.committed(), answers.outcomes(), answers.dead_letters()
            away.rename(keyring)
            outcomes = answered(answers, *ids)
            wait_until(lambda: answers.committed() == 5)
    finally:
        if away.exists():
            away.rename(keyring)

    assert held == (0, {}, [])
    assert {outcome["status"] for outcome in outcomes} == {"accepted"}


def test_an_outage_of_the_store_holds_messages_and_loses_none(service, settings, publisher, answers) -> None:
    ids = [publisher.send("register_subject", PERSON) for _ in range(5)]
    _write(service.log, "UPDATE log_head SET admitted_for = 'an earlier incarnation'")
    with taking(service, settings) as part:
        wait_until(lambda: part.said.code == "StoreUnavailable")
        held = answers.committed()
        service.log.admit_writes(service.log.admission().incarnation, 0)
        outcomes = answered(answers, *ids)

    assert held == 0
    assert {outcome["status"] for outcome in outcomes} == {"accepted"}


def _write(log: EventLog, statement: str) -> None:
    with log._reads.transaction() as cursor:
        cursor.execute(statement)
