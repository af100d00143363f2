"""FHIR files through the real inbox into the log: what arrives, and that repeating adds nothing."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest
from fhir_bundles import bundle, condition, patient
from running_copy import caller

from application.wiring import build_saga
from casekeeper_client import Client
from cli.import_inbox import PUBLISHER
from cli.own_publisher import own_publisher
from consumers import topics
from consumers.clients import consumer
from domain.rights import DueErasure

ALLERGY = {
    "resourceType": "AllergyIntolerance",
    "patient": {"reference": "Patient/p1"},
    "code": {"text": "Penicillin"},
}
COVERAGE = {
    "resourceType": "Coverage",
    "status": "active",
    "beneficiary": {"reference": "Patient/p1"},
    "payor": [{"display": "Example Mutual"}],
    "subscriberId": "EM-1",
}


@pytest.fixture
def write(tmp_path):
    def written(*contents):
        paths = []
        for content in contents:
            paths.append(tmp_path / f"{uuid4()}.json")
            paths[-1].write_text(json.dumps(content))
        return paths

    return written


def one_person(mrn, *more, **attributes):
    return bundle(patient(mrn=mrn, **attributes), condition("Asthma", onsetDateTime="2010"), *more)


def test_a_person_arrives_with_case_and_intake(copy, write):
    before = copy.service.log.head()

    report, (result,) = copy.import_files(*write(one_person("N-1", ALLERGY, COVERAGE)))

    records = {record.type: record for record in copy.records(before)}
    registered, opened, intake = (records[t] for t in ("SubjectRegistered", "CaseOpened", "IntakeSubmitted"))
    assert copy.opened(registered, "identity") == {
        "given_name": "Anna",
        "family_name": "Heide",
        "birth_date": "1974-12-25",
        **dict.fromkeys(("email", "phone", "address", "time_zone")),
    }
    assert copy.opened(intake, "medical") == {
        "reason": "Imported record",
        "medical_history": [{"condition": "Asthma", "since": "2010", "note": None}],
        "medications": [],
        "allergies": [{"substance": "Penicillin", "reaction": None, "severity": None, "note": None}],
    }
    assert copy.opened(intake, "insurance") == {"insurer": "Example Mutual", "member_number": "EM-1"}
    assert (opened.data["kind"], intake.case_id) == ("care_coordination", opened.stream_id)
    assert registered.actor.role == "service"
    assert (registered.actor.issuer, registered.producer, registered.purpose) == (PUBLISHER, "inbox", "intake")
    assert (result.subject_id, result.case_id) == (str(registered.stream_id), str(opened.stream_id))
    assert (report.people["new"], report.complete) == (1, True)


def test_the_same_import_again_adds_nothing(copy, write):
    people = [one_person(f"R-{n}", family=f"Name {n}") for n in range(5)]
    _, first = copy.import_files(*write(*people))
    head = copy.service.log.head()

    report, again = copy.import_files(*write(*reversed(people)))

    assert copy.counts(head) == {}
    assert (report.people["known"], report.people["new"], dict(report.published)) == (5, 0, {})
    assert {r.subject_id for r in again} == {r.subject_id for r in first}


def test_changed_content_is_a_new_intake_of_the_same_person(copy, write):
    _, (first,) = copy.import_files(*write(one_person("C-1")))
    head = copy.service.log.head()

    _, (second,) = copy.import_files(*write(one_person("C-1", ALLERGY, family="Married")))

    assert copy.counts(head) == {"IntakeSubmitted": 1}
    assert (second.subject_id, second.case_id) == (first.subject_id, first.case_id)
    copy.import_files(*write(one_person("C-1")))
    assert copy.counts(head) == {"IntakeSubmitted": 1}


def test_the_same_identifier_of_two_sources_is_two_people(copy, write):
    loose = one_person("unused", family="Nowhere")
    del loose["entry"][0]["resource"]["identifier"]

    _, (first,) = copy.import_files(*write(loose), source="a")
    _, (second,) = copy.import_files(*write(loose), source="b")

    assert first.subject_id != second.subject_id


def test_what_the_service_refuses_is_reported_and_tried_anew_next_time(copy, write):
    _, (taken,) = copy.import_files(*write(one_person("X-1")))
    manager = caller("a1", "case_manager", "casework")
    copy.service.execute("close_case", manager, {"case_id": taken.case_id}, {"reason": "completed"})
    changed = write(one_person("Y-1"), one_person("X-1", ALLERGY))
    head = copy.service.log.head()

    report, _ = copy.import_files(*changed)
    again, _ = copy.import_files(*changed)

    assert report.places == [{"file": 2, "index": 0, "resource": "Patient", "reason": "case-closed"}]
    assert (report.people["refused"], report.people["new"], report.complete) == (1, 1, False)
    assert (again.people["refused"], again.people["known"]) == (1, 1)
    assert copy.counts(head)["IntakeSubmitted"] == 1


def test_a_body_the_schema_refuses_costs_one_person_only(copy, write):
    nameless = patient(mrn="Z-1")
    del nameless["name"]

    report, _ = copy.import_files(*write(bundle(nameless), one_person("Z-2")))

    assert report.places == [
        {
            "file": 1,
            "index": 0,
            "resource": "Patient",
            "reason": "invalid-input",
            "fields": ["identity.family_name"],
        }
    ]
    assert (report.people["found"], report.people["new"], report.people["refused"]) == (2, 1, 1)


def test_an_erased_person_does_not_come_back(copy, write):
    _, (person,) = copy.import_files(*write(one_person("E-1")))
    _fence(copy, person.subject_id)
    head = copy.service.log.head()

    unchanged, _ = copy.import_files(*write(one_person("E-1")))
    changed, _ = copy.import_files(*write(one_person("E-1", ALLERGY)))

    assert unchanged.people["known"] == 1
    assert [place["reason"] for place in changed.places] == ["subject-erased"]
    assert copy.counts(head) == {}


def test_nothing_of_a_person_is_in_clear_on_any_topic(copy, write):
    marker = "Zqxmarker"
    copy.import_files(*write(one_person("T-1", family=marker, given=marker)))

    client = consumer(
        copy.settings.kafka,
        *(copy.settings.topic(name) for name in (topics.INBOX, topics.OUTCOMES, topics.DEADLETTERS)),
        auto_offset_reset="earliest",
    )
    seen = 0
    try:
        while pages := client.poll(timeout_ms=2000):
            for message in (m for page in pages.values() for m in page):
                seen += 1
                assert marker.encode() not in (message.value or b"") + (message.key or b"")
    finally:
        client.close()
    assert seen >= 6
    assert all(marker.encode() not in stored.record for stored in copy.service.log.read_from(1, 100_000))


def test_a_revoked_publisher_is_replaced(copy, write):
    first = own_publisher(copy.service, "spare")
    assert own_publisher(copy.service, "spare") == first
    operator = caller("op", "operator", "operations")
    copy.service.execute("revoke_publisher", operator, {"publisher_id": first.id}, {})

    second = own_publisher(copy.service, "spare")

    assert second.id != first.id
    assert second.private_key["x"] != first.private_key["x"]
    assert copy.service.publisher(second.id).public_key == second.private_key["x"]


def test_many_messages_under_given_ids(copy):
    """What the import needs of the client: publishing many again under the same ids is answered alike."""
    from application import inbox_keys, signing_keys

    publisher = own_publisher(copy.service, "many")
    key = inbox_keys.current_jwk(copy.service.vault, copy.service.clock())
    keys = {"keys": signing_keys.public_keys(copy.service.vault, copy.service.clock(), signing_keys.OUTCOMES)}
    ids = [str(uuid4()) for _ in range(3)]
    body = {"identity": {"family_name": "Heide"}, "notice": {"policy_version": "1"}}
    commands = [("register_subject", body)] * 3
    with Client(
        copy.settings.kafka,
        key,
        publisher.id,
        publisher.private_key,
        copy.settings.topic_prefix,
        outcome_keys=keys,
        actor="many",
    ) as client:
        assert client.publish_many(commands, message_ids=ids) == ids
        first = [outcome.id for outcome in client.wait_for_outcomes(ids)]
        client.publish_many(commands, message_ids=ids)
        again = [outcome.id for outcome in client.wait_for_outcomes(ids)]

    assert first == again
    assert len(set(first)) == 3


def _fence(copy, subject_id):
    officer, second = caller("p1", "privacy_officer", "rights"), caller("p2", "privacy_officer", "rights")
    ids = {"subject_id": UUID(subject_id)}
    asked = {"right": "erasure", "channel": "web"}
    request_id = UUID(copy.service.execute("receive_request", officer, ids, asked).body["id"])
    both = {**ids, "request_id": request_id}
    copy.service.execute("verify_requester", officer, both, {"method": "telephone", "outcome": "verified"})
    preview = copy.service.execute("preview_erasure", officer, both, {}).body["preview_id"]
    copy.service.execute("approve_erasure", second, both, {"preview_id": preview})
    build_saga(copy.service).fence(DueErasure(UUID(subject_id), request_id, uuid4()))
