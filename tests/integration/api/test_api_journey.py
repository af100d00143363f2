"""The main journey over HTTP, call by call; every answer is held against the published OpenAPI document."""

import time
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from api_shapes import Documented

from application import signing_keys
from application.examples import BODIES
from domain.instants import parse_instant
from tests.new_people import new_person

MEDICAL = {
    "reason": "Knee pain when climbing stairs",
    "medical_history": [{"condition": "Hypertension", "since": "2019", "note": "Well controlled"}],
    "medications": ["Ramipril 5 mg"],
    "allergies": [{"substance": "Penicillin", "reaction": "Rash", "severity": "mild"}],
    "insurance": {"insurer": "Example Mutual", "member_number": "EM-77"},
}
CASE = "/v1/cases/{case_id}"
SUBJECT = "/v1/subjects/{subject_id}"


@pytest.fixture(scope="module")
def spec(world):
    return Documented(world.app.test_client())


@pytest.fixture(scope="module")
def told(world, spec):
    """Rows 1 to 7 of the journey, each answer checked against the document."""
    p, t = world.people, SimpleNamespace()
    made = spec.check(p.intake.post("/v1/subjects", BODIES["register_subject"]), "POST", "/v1/subjects")
    t.subject = made["id"]
    t.case = spec.check(
        p.intake.post("/v1/cases", {"subject_id": t.subject, "kind": "second_opinion"}), "POST", "/v1/cases"
    )["id"]
    intake = {**BODIES["submit_intake"], "answers": MEDICAL}
    t.intake = spec.check(p.intake.post(f"/v1/cases/{t.case}/intakes", intake), "POST", f"{CASE}/intakes")
    agreed = p.officer.post("/v1/agreements", BODIES["register_agreement"])
    t.recipient = spec.check(agreed, "POST", "/v1/agreements")["recipient_id"]
    consent = {**BODIES["grant_consent"], "recipient_ids": [t.recipient]}
    granted = p.person.post(f"/v1/subjects/{t.subject}/consents", consent)
    t.consent = spec.check(granted, "POST", f"{SUBJECT}/consents")["id"]
    t.terms = {
        "case_id": t.case,
        "recipient_id": t.recipient,
        "purpose": "treatment",
        "categories": ["identity", "medical"],
        "basis": {"type": "consent", "id": t.consent},
    }
    asked = p.manager.post(f"/v1/subjects/{t.subject}/disclosures", t.terms)
    t.disclosure = spec.check(asked, "POST", f"{SUBJECT}/disclosures")
    return t


def test_the_case_is_read_with_its_intake_opened(world, spec, told):
    p, position = world.people, told.intake["receipt"]["position"]
    listed = spec.check(p.manager.get(f"/v1/cases?after={position}"), "GET", "/v1/cases")
    case = spec.check(p.manager.get(f"/v1/cases/{told.case}?after={position}"), "GET", CASE)

    assert [(i["subject_id"], i["kind"], i["state"]) for i in listed["items"] if i["id"] == told.case] == [
        (told.subject, "second_opinion", "open")
    ]
    assert case["identity"]["given_name"] == "Ada"
    answers = case["intakes"][0]["answers"]
    assert answers["reason"] == MEDICAL["reason"]
    assert answers["medications"] == MEDICAL["medications"]
    assert answers["medical_history"][0]["condition"] == "Hypertension"
    assert answers["insurance"] == MEDICAL["insurance"]


def test_reading_is_recorded_with_reader_purpose_and_subject(world, told):
    before = world.log.head()
    world.people.manager.get(f"/v1/cases/{told.case}")
    recorded = [stored for stored in world.log.read_from(before + 1, 10) if stored.type == "AccessRecorded"]

    assert len(recorded) == 1
    assert b'"resource":"case"' in recorded[0].record
    assert told.subject.encode() in recorded[0].record
    assert b'"id":"a1"' in recorded[0].record
    assert b'"purpose":"casework"' in recorded[0].record


def test_a_role_sees_only_its_categories(world, spec, told):
    case = spec.check(world.people.intake.get(f"/v1/cases/{told.case}"), "GET", CASE)
    facts = spec.check(world.people.regulator.get(f"/v1/subjects/{told.subject}"), "GET", SUBJECT)

    assert case["identity"]["family_name"] == "Example"
    assert case["intakes"][0]["answers"]["reason"] == {"masked": {"category": "medical"}}
    assert case["intakes"][0]["answers"]["insurance"] == {"masked": {"category": "insurance"}}
    assert facts["identity"] == {"masked": {"category": "identity"}}
    assert facts["language"] == "en"


def test_a_disclosure_takes_two_people_and_is_then_accounted_for(world, spec, told):
    p = world.people
    path = f"/v1/subjects/{told.subject}/disclosures/{told.disclosure['id']}"
    template = f"{SUBJECT}/disclosures/{{disclosure_id}}"
    alone = p.manager.post(f"{path}/authorization")
    too_early = p.manager.post(f"{path}/release")
    spec.check(p.second.post(f"{path}/authorization"), "POST", f"{template}/authorization")
    released = spec.check(p.manager.post(f"{path}/release"), "POST", f"{template}/release")
    position = released["receipt"]["position"]
    ledger = spec.check(
        p.officer.get(f"/v1/subjects/{told.subject}/disclosures?after={position}"), "GET", f"{SUBJECT}/disclosures"
    )

    assert (alone.status_code, alone.json["type"]) == (403, "urn:casekeeper:problem:second-person-required")
    assert (too_early.status_code, too_early.json["type"]) == (409, "urn:casekeeper:problem:disclosure-not-authorised")
    assert set(released["content"]) == {"identity", "medical"}
    [entry] = [item for item in ledger["items"] if item["id"] == told.disclosure["id"]]
    assert entry["recipient"]["name"] == "Example Clinic"
    assert (entry["state"], entry["requested_by"], entry["authorized_by"]) == ("released", "a1", "a2")
    assert entry["basis"] == {"type": "consent", "id": told.consent}


def test_notes_tasks_assignment_amendment_and_closure(world, spec, told):
    p = world.people
    _, case = world.registered()
    path = f"/v1/cases/{case}"
    intake = p.intake.post(f"{path}/intakes", BODIES["submit_intake"]).json["id"]
    changed = {**BODIES["amend_intake"], "answers": {**MEDICAL, "reason": "Hip pain instead"}}
    amended = p.manager.post(f"{path}/intakes/{intake}/amendments", changed)
    spec.check(amended, "POST", f"{CASE}/intakes/{{intake_id}}/amendments")
    spec.check(p.manager.post(f"{path}/notes", {"text": "Called the clinic."}), "POST", f"{CASE}/notes")
    task = spec.check(p.manager.post(f"{path}/tasks", BODIES["add_task"]), "POST", f"{CASE}/tasks")["id"]
    p.manager.post(f"{path}/tasks", {"title": "Ask for the imaging", "due": "2031-05-06"})
    done = p.manager.post(f"{path}/tasks/{task}/completion")
    spec.check(done, "POST", f"{CASE}/tasks/{{task_id}}/completion")
    spec.check(p.manager.post(f"{path}/assignments", {"assignee": "a2"}), "POST", f"{CASE}/assignments")
    closed = spec.check(p.manager.post(f"{path}/closure", {"reason": "completed"}), "POST", f"{CASE}/closure")
    case = spec.check(p.manager.get(f"{path}?after={closed['receipt']['position']}"), "GET", CASE)

    assert case["intakes"][0]["answers"]["reason"] == "Hip pain instead"
    assert case["intakes"][0]["amended_at"] is not None
    assert [(note["author"], note["text"]) for note in case["notes"]] == [("a1", "Called the clinic.")]
    assert [(t["title"], t["done_at"] is not None) for t in case["tasks"]] == [
        (BODIES["add_task"]["title"], True),
        ("Ask for the imaging", False),
    ]
    assert (case["assignee"], case["state"], case["closed"]["reason"]) == ("a2", "closed", "completed")


def test_withdrawal_is_one_call_and_stops_the_next_release(world, spec, told):
    p = world.people
    subject, case = world.registered()
    consent_body = {**BODIES["grant_consent"], "recipient_ids": [told.recipient]}
    consent = p.person.post(f"/v1/subjects/{subject}/consents", consent_body).json["id"]
    terms = {**told.terms, "case_id": case, "basis": {"type": "consent", "id": consent}}
    path = f"/v1/subjects/{subject}/disclosures"
    disclosure = p.manager.post(path, terms).json["id"]
    p.second.post(f"{path}/{disclosure}/authorization")
    answer = p.person.post(f"/v1/subjects/{subject}/consents/{consent}/withdrawal", {"reason": "I changed my mind"})
    withdrawn = spec.check(answer, "POST", f"{SUBJECT}/consents/{{consent_id}}/withdrawal")
    refused = p.manager.post(f"{path}/{disclosure}/release")
    position = withdrawn["receipt"]["position"]
    ledger = p.person.get(f"/v1/subjects/{subject}/consents?after={position}")
    items = spec.check(ledger, "GET", f"{SUBJECT}/consents")["items"]

    assert (refused.status_code, refused.json["type"]) == (409, "urn:casekeeper:problem:consent-withdrawn")
    assert "policy clause 3" in refused.json["detail"]
    assert [(item["id"], item["state"]) for item in items] == [(consent, "withdrawn")]


def test_a_disclosure_can_be_denied_or_cancelled(world, spec, told):
    p = world.people
    path = f"/v1/subjects/{told.subject}/disclosures"
    template = f"{SUBJECT}/disclosures/{{disclosure_id}}"
    first, second = (p.manager.post(path, told.terms).json["id"] for _ in range(2))
    denied = spec.check(p.second.post(f"{path}/{first}/denial", {"reason": "Too much"}), "POST", f"{template}/denial")
    cancelled = spec.check(p.manager.post(f"{path}/{second}/cancellation"), "POST", f"{template}/cancellation")

    assert (denied["state"], cancelled["state"]) == ("denied", "cancelled")


def certificate(caller, request_id):
    deadline = time.monotonic() + 15
    while True:
        answer = caller.get(f"/v1/requests/{request_id}/certificate")
        if answer.status_code == 200 or time.monotonic() > deadline:
            return answer
        assert answer.json["type"] == "urn:casekeeper:problem:certificate-pending"


def test_a_hold_is_placed_kept_to_released_and_comes_too_late(world, spec, told):
    p = world.people
    subject, case = world.registered(given_name="Clara")
    p.intake.post(f"/v1/cases/{case}/intakes", BODIES["submit_intake"])
    path, template = f"/v1/subjects/{subject}/holds", f"{SUBJECT}/holds"
    held = {**BODIES["place_hold"], "scope": {"categories": ["medical"], "case_ids": [case]}}
    placed = spec.check(p.officer.post(path, held), "POST", template)
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    steps = f"/v1/requests/{request}"
    p.officer.post(f"{steps}/verification", BODIES["verify_requester"])
    preview = spec.check(p.officer.get(f"{steps}/preview"), "GET", "/v1/requests/{request_id}/preview")
    p.other_officer.post(f"{steps}/approval", {"preview_id": preview["preview_id"]})
    first = certificate(p.officer, request).json
    released = p.officer.post(f"{path}/{placed['id']}/release")
    spec.check(released, "POST", f"{template}/{{hold_id}}/release")
    deadline = time.monotonic() + 15
    while not (second := certificate(p.officer, request).json)["preceding"]:
        assert time.monotonic() < deadline
    late = spec.check(p.officer.post(path, held), "POST", template)
    listed = spec.check(p.regulator.get(path), "GET", template)
    by_a_manager = p.manager.post(path, held)

    assert (placed["state"], [w["review_date"][:10] for w in preview["withheld"]]) == ("placed", ["2036-01-01"])
    assert [w["ground"] for w in first["withheld"]] == ["legal_hold"]
    spec.check(p.officer.get(f"{steps}/certificate"), "GET", "/v1/requests/{request_id}/certificate")
    assert (second["whole_person"], second["preceding"][0]["certificate_id"]) == (True, first["certificate_id"])
    assert (late["state"], late["ineffective"][0]["certificate_id"]) == ("ineffective", second["certificate_id"])
    assert [item["state"] for item in listed["items"]] == ["released", "ineffective"]
    assert by_a_manager.status_code == 403


def test_somebody_erased_is_registered_again_by_an_officer_only(world, spec):
    p = world.people
    who = new_person(given_name="Dora")
    subject = p.intake.post("/v1/subjects", who).json["id"]
    engaged = p.intake.post(f"/v1/subjects/{subject}/engagements", {**who, "language": "de"})
    engaged = spec.check(engaged, "POST", f"{SUBJECT}/engagements")
    shown = p.manager.get(f"/v1/subjects/{subject}?after={engaged['receipt']['position']}").json
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    path = f"/v1/requests/{request}"
    p.officer.post(f"{path}/verification", BODIES["verify_requester"])
    preview = p.officer.get(f"{path}/preview").json["preview_id"]
    p.other_officer.post(f"{path}/approval", {"preview_id": preview})
    found = certificate(p.officer, request).json
    again = p.intake.post("/v1/subjects", who)
    forbidden = p.intake.post("/v1/subjects/reviewed", who)
    reviewed = spec.check(p.officer.post("/v1/subjects/reviewed", who), "POST", "/v1/subjects/reviewed")

    assert (engaged["engagement"], shown["language"]) == (2, "de")
    assert found["suppressed_until"].endswith("-01-01T00:00:00.000000Z")
    assert (again.status_code, again.json["type"]) == (409, "urn:casekeeper:problem:registration-needs-review")
    assert "Dora" not in again.text
    assert forbidden.status_code == 403
    assert reviewed["id"] != subject


def test_erasure_from_request_to_certificate_and_tombstones(world, spec, told):
    p = world.people
    subject, case = world.registered(given_name="Boris")
    p.intake.post(f"/v1/cases/{case}/intakes", BODIES["submit_intake"])
    p.manager.post(f"/v1/cases/{case}/notes", {"text": "A note"})
    p.manager.post(f"/v1/cases/{case}/tasks", {"title": "A task"})
    asked = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"])
    request = spec.check(asked, "POST", f"{SUBJECT}/requests")
    path, template = f"/v1/requests/{request['id']}", "/v1/requests/{request_id}"
    spec.check(p.officer.post(f"{path}/verification", BODIES["verify_requester"]), "POST", f"{template}/verification")
    preview = spec.check(p.officer.get(f"{path}/preview"), "GET", f"{template}/preview")
    alone = p.officer.post(f"{path}/approval", {"preview_id": preview["preview_id"]})
    approved = p.other_officer.post(f"{path}/approval", {"preview_id": preview["preview_id"]})
    spec.check(approved, "POST", f"{template}/approval")
    shown = spec.check(certificate(p.officer, request["id"]), "GET", f"{template}/certificate")
    position = shown["receipt"]["position"]
    person = spec.check(p.manager.get(f"/v1/subjects/{subject}?after={position}"), "GET", SUBJECT)
    found = spec.check(p.manager.get(f"/v1/cases/{case}?after={position}"), "GET", CASE)

    assert (alone.status_code, alone.json["type"]) == (403, "urn:casekeeper:problem:second-officer-required")
    assert approved.status_code == 202
    assert {scope["category"] for scope in preview["erasable"]} == {"identity", "medical", "insurance"}
    assert shown["state"] == "certified"
    assert shown["root_epochs"]["after"] == shown["root_epochs"]["before"] + 1
    assert shown["processes"]["acknowledged"] >= 1
    assert shown["processes"]["unanswered"] == 0
    kept = parse_instant(shown["inbox_keys_destroyed_by"]) - parse_instant(shown["fenced_at"])
    # A clock ahead by an hour, a day of use, an hour in the client's cache, a day and an hour on the topic, an hour and
    # five minutes of margin.
    assert kept == timedelta(hours=52, minutes=5)
    tombstone = person["identity"]
    assert tombstone["erased"]["certificate_id"] == shown["certificate_id"]
    assert person["state"] == "erased"
    answers = found["intakes"][0]["answers"]
    assert {*answers} == {"reason", "medical_history", "medications", "allergies", "insurance"}
    stood = [*answers.values(), found["identity"], found["notes"][0]["text"], found["tasks"][0]["title"]]
    assert all(value["erased"]["certificate_id"] == shown["certificate_id"] for value in stood)
    late = p.manager.post(f"/v1/cases/{case}/notes", {"text": "Too late"})
    assert (late.status_code, late.json["type"]) == (410, "urn:casekeeper:problem:subject-erased")


def test_an_approval_of_a_preview_that_changed_is_told_what_changed(world, spec):
    p = world.people
    subject, case = world.registered()
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    path, template = f"/v1/requests/{request}", "/v1/requests/{request_id}/approval"
    p.officer.post(f"{path}/verification", BODIES["verify_requester"])
    shown = p.officer.get(f"{path}/preview").json
    p.intake.post(f"/v1/cases/{case}/intakes", BODIES["submit_intake"])

    stale = p.other_officer.post(f"{path}/approval", {"preview_id": shown["preview_id"]})
    spec.check(stale, "POST", template)
    again = p.other_officer.get(f"{path}/preview").json
    superseded = p.other_officer.post(f"{path}/approval", {"preview_id": shown["preview_id"]})
    approved = p.other_officer.post(f"{path}/approval", {"preview_id": again["preview_id"]})

    new = {s["scope_id"] for s in again["erasable"]} - {s["scope_id"] for s in shown["erasable"]}
    assert len(new) == 2
    assert (stale.status_code, stale.json["type"]) == (409, "urn:casekeeper:problem:preview-stale")
    assert {(e["field"], e["problem"]) for e in stale.json["errors"]} == {
        ("erasable", f"scope {scope_id} has come in") for scope_id in new
    }
    assert superseded.status_code == 409
    assert [e["field"] for e in superseded.json["errors"]] == ["preview_id"]
    assert approved.status_code == 202


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        ({"categories": ["shoe_size"], "case_ids": None}, "scope.categories"),
        ({"categories": [], "case_ids": None}, "scope.categories"),
        ({"categories": None, "case_ids": ["0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"]}, "scope.case_ids.0"),
        ({"categories": None, "case_ids": ["x"]}, "scope.case_ids"),
        ({"everything": True}, "scope.everything"),
    ],
)
def test_an_unknown_category_or_scope_is_422_and_records_nothing(world, spec, scope, field):
    subject, _ = world.registered()

    asked = world.people.person.post(f"/v1/subjects/{subject}/requests", {**BODIES["receive_request"], "scope": scope})

    spec.check(asked, "POST", f"{SUBJECT}/requests")
    assert asked.status_code == 422
    assert asked.json["errors"][0]["field"].startswith(field)
    assert world.service.resources.streams.load(UUID(subject)).requests == {}


def test_a_request_can_be_refused_and_extended(world, spec):
    p = world.people
    subject, _ = world.registered()
    path = f"/v1/subjects/{subject}/requests"
    body = {**BODIES["receive_request"], "right": "access"}
    request = p.person.post(path, body).json
    extended = p.officer.post(f"/v1/requests/{request['id']}/extension")
    dated = spec.check(extended, "POST", "/v1/requests/{request_id}/extension")
    refused = p.officer.post(f"/v1/requests/{request['id']}/refusal", BODIES["refuse_request"])
    spec.check(refused, "POST", "/v1/requests/{request_id}/refusal")
    position = refused.json["receipt"]["position"]
    listed = spec.check(
        p.officer.get(f"/v1/requests?state=refused&right=access&after={position}"), "GET", "/v1/requests"
    )

    assert dated["due"] > request["due"]
    [item] = [item for item in listed["items"] if item["id"] == request["id"]]
    assert (item["subject_id"], item["channel"]) == (subject, "web")


def test_lists_page_through_everything_once(world, spec):
    p = world.people
    wanted = {world.registered()[1] for _ in range(5)}
    position = world.log.head()
    found, path = [], f"/v1/cases?state=open&limit=2&after={position}"
    while path:
        page = spec.check(p.manager.get(path), "GET", "/v1/cases")
        found += [item["id"] for item in page["items"]]
        path = f"/v1/cases?state=open&limit=2&cursor={page['next']}" if page["next"] else None

    assert len(found) == len(set(found))
    assert wanted <= set(found)


def test_policies_and_the_keys_for_publishers(world, spec):
    policies = spec.check(world.people.regulator.get("/v1/policies"), "GET", "/v1/policies")
    key = spec.check(world.app.test_client().get("/v1/inbox-key"), "GET", "/v1/inbox-key")

    assert [item["version"] for item in policies["items"] if item["in_force"]] == ["1"]
    assert (key["kty"], key["crv"]) == ("OKP", "X25519")
    assert "d" not in key


def test_the_keys_that_outcomes_are_verified_with(world, spec):
    def published():
        return spec.check(world.app.test_client().get("/v1/outcome-keys"), "GET", "/v1/outcome-keys")["keys"]

    [first] = published()
    signing_keys.rotate(world.service.vault, world.service.clock(), signing_keys.OUTCOMES)
    second, replaced = published()

    assert replaced == first
    assert second["kid"] != first["kid"]
    assert {(key["kty"], key["crv"], key["alg"], key["use"]) for key in (first, second)} == {
        ("OKP", "Ed25519", "EdDSA", "sig")
    }
    assert all("d" not in key for key in (first, second))
    signs = signing_keys.current_key(world.service.vault, world.service.clock(), signing_keys.OUTCOMES)
    assert second["x"] == signs.as_dict(private=False)["x"]


def test_a_registered_person_is_found_without_saying_after(world):
    p = world.people
    for _ in range(3):
        subject, case = world.registered()
        assert p.manager.get(f"/v1/subjects/{subject}").json["id"] == subject
        assert UUID(p.manager.get(f"/v1/cases/{case}").json["id"]) == UUID(case)
        assert p.manager.get(f"/v1/subjects/{subject}/consents").json == {"items": [], "next": None}
