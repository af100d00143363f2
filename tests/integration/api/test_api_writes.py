"""Repeating a write, racing on one, and what a write answers while something is away."""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from application.examples import BODIES
from domain.errors import ConcurrencyConflict, KeysUnavailable, StoreUnavailable

NOTE = {"text": "Asked the hospital for the imaging."}


@pytest.fixture(scope="module")
def case(world):
    return world.registered()[1]


def notes(world, case):
    position = world.log.head()
    return world.people.manager.get(f"/v1/cases/{case}?after={position}").json["notes"]


def test_a_repeated_key_gets_the_first_answer_and_has_no_second_effect(world, case):
    key = str(uuid4())
    first = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE, key=key)
    after_first = world.log.head()
    again = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE, key=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json
    assert world.log.head() == after_first
    assert first.json["receipt"]["position"] == after_first


def test_the_same_key_with_another_body_or_call_is_409(world, case):
    key = str(uuid4())
    world.people.manager.post(f"/v1/cases/{case}/notes", NOTE, key=key)
    head = world.log.head()
    other_body = world.people.manager.post(f"/v1/cases/{case}/notes", {"text": "Something else"}, key=key)
    other_call = world.people.manager.post(f"/v1/cases/{case}/assignments", {"assignee": "a1"}, key=key)

    for answer in (other_body, other_call):
        assert (answer.status_code, answer.json["type"]) == (409, "urn:casekeeper:problem:idempotency-key-reused")
        assert "Something else" not in answer.text
    assert world.log.head() == head


def test_keys_of_two_callers_do_not_meet(world, case):
    key = str(uuid4())
    first = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE, key=key)
    second = world.people.second.post(f"/v1/cases/{case}/notes", NOTE, key=key)

    assert first.json["id"] != second.json["id"]


def test_eight_at_once_with_one_key_have_one_effect(world):
    _, case = world.registered()
    key = str(uuid4())
    callers = [world.people.manager for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda caller: caller.post(f"/v1/cases/{case}/notes", NOTE, key=key), callers))
    made = {answer.json["id"] for answer in answers if answer.status_code == 201}
    others = {answer.status_code for answer in answers if answer.status_code != 201}

    assert len(made) == 1
    assert others <= {409}
    assert [note["id"] for note in notes(world, case)] == list(made)


def test_a_repeated_release_opens_the_data_again_without_a_second_release(world):
    p = world.people
    subject, case = world.registered()
    recipient = p.officer.post("/v1/agreements", BODIES["register_agreement"]).json["recipient_id"]
    consent = {**BODIES["grant_consent"], "recipient_ids": [recipient]}
    consent_id = p.person.post(f"/v1/subjects/{subject}/consents", consent).json["id"]
    terms = {
        **BODIES["request_disclosure"],
        "case_id": case,
        "recipient_id": recipient,
        "basis": {"type": "consent", "id": consent_id},
    }
    path = f"/v1/subjects/{subject}/disclosures"
    disclosure = p.manager.post(path, terms).json["id"]
    p.second.post(f"{path}/{disclosure}/authorization")
    first = p.manager.post(f"{path}/{disclosure}/release", key="release-1")
    head = world.log.head()
    again = p.manager.post(f"{path}/{disclosure}/release", key="release-1")

    assert first.json["content"]["identity"] is not None
    assert again.json == first.json
    assert [r.type for r in world.log.read_from(head + 1, 10)] == ["AccessRecorded"]


def test_two_writers_of_one_stream_one_is_told_to_try_again(world, monkeypatch):
    """Both read the case before either appends; the second to append is refused whole, and succeeds when repeated."""
    _, case = world.registered()
    append = world.log.append
    raced = []

    def with_a_rival(command):
        if not raced:
            raced.append(True)
            rival = world.people.second.post(f"/v1/cases/{case}/assignments", {"assignee": "a2"})
            raced.append(rival.status_code)
        return append(command)

    monkeypatch.setattr(world.log, "append", with_a_rival)
    lost = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE, key="race-1")
    repeated = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE, key="race-1")

    assert raced == [True, 201]
    assert (lost.status_code, lost.json["type"]) == (409, "urn:casekeeper:problem:concurrency-conflict")
    assert int(lost.headers["Retry-After"]) >= 1
    assert repeated.status_code == 201
    assert len(notes(world, case)) == 1


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (StoreUnavailable("host=10.0.0.1 password=hunter2"), "store-unavailable"),
        (KeysUnavailable("host=10.0.0.1 password=hunter2"), "keys-unavailable"),
    ],
)
def test_an_outage_is_503_with_retry_after_and_nothing_of_the_driver(world, case, monkeypatch, error, slug):
    def down(*_args, **_more):
        raise error

    monkeypatch.setattr(world.service, "execute", down)
    answer = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE)

    assert (answer.status_code, answer.json["type"]) == (503, f"urn:casekeeper:problem:{slug}")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "hunter2" not in answer.text


def test_a_conflict_names_no_stream_content(world, case, monkeypatch):
    stream = uuid4()

    def moved(*_args, **_more):
        raise ConcurrencyConflict(stream)

    monkeypatch.setattr(world.service, "execute", moved)
    answer = world.people.manager.post(f"/v1/cases/{case}/notes", NOTE)

    assert answer.status_code == 409
    assert "Asked the hospital" not in json.dumps(answer.json)
