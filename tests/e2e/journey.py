"""The main journey, step by step, with a marker in every sensitive field; over HTTP or, where it may be, the inbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.callers import INTAKE_SERVICE, MANAGER, OFFICER, RIGHTS_SERVICE, SECOND_MANAGER, SECOND_OFFICER, Who
from tests.e2e.copy_of_service import Copy, Reply
from tests.waiting import until


@dataclass
class Markers:
    """Unique text for each sensitive field, so that a leak can be found by its bytes."""

    run: str = field(default_factory=lambda: uuid4().hex[:12])
    made: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> str:
        marker = f"mk{self.run}{name}"
        self.made.append(marker)
        return marker


@dataclass
class Story:
    """What the journey made: identifiers, positions, and the last answers."""

    subject: str = ""
    case: str = ""
    intake: str = ""
    agreement: str = ""
    recipient: str = ""
    consent: str = ""
    disclosure: str = ""
    request: str = ""
    certificate: str = ""
    position: int = 0
    event_ids: list[str] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)


Publish = Callable[[tuple[str, str, str], str, dict[str, str], dict[str, Any]], dict[str, Any]]
"""Does one command (caller, operation, ids, body) and returns its answer's body."""


def over_http(copy: Copy) -> Publish:
    """Return a publisher that uses the HTTP calls of the design."""
    paths = {
        "register_subject": "/v1/subjects",
        "open_case": "/v1/cases",
        "submit_intake": "/v1/cases/{case_id}/intakes",
        "grant_consent": "/v1/subjects/{subject_id}/consents",
        "withdraw_consent": "/v1/subjects/{subject_id}/consents/{consent_id}/withdrawal",
        "receive_request": "/v1/subjects/{subject_id}/requests",
    }
    statuses = {"withdraw_consent": 200}

    def publish(who: tuple[str, str, str], name: str, ids: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        reply = copy.call(who, "POST", paths[name].format(**ids), body)
        assert reply.status == statuses.get(name, 201), reply
        return reply.body

    return publish


def subject_body(markers: Markers) -> dict[str, Any]:
    return {
        "identity": {
            "given_name": markers("given"),
            "family_name": markers("family"),
            "birth_date": "1948-11-05",
            "email": f"{markers('email')}@example.org",
            "phone": "+1 555 0142 7731",
            "address": {
                "lines": [markers("street")],
                "city": markers("city"),
                "postal_code": "90417",
                "country": markers("country"),
            },
        },
        "time_zone": "Asia/Manila",
        "language": "en",
        "notice": {"policy_version": "1"},
    }


def intake_body(markers: Markers) -> dict[str, Any]:
    return {
        "form": "medical_intake",
        "form_version": 1,
        "answers": {
            "reason": markers("reason"),
            "medical_history": [{"condition": markers("condition"), "since": "2011", "note": markers("note")}],
            "medications": [{"name": markers("drug")}],
            "allergies": [{"substance": markers("allergen")}],
            "insurance": {"insurer": markers("insurer"), "member_number": markers("member")},
        },
        "notice": {"policy_version": "1"},
    }


class Journey:
    """Runs the steps of the main journey and checks each answer's shape."""

    def __init__(self, copy: Copy, publish: Publish) -> None:
        self.copy = copy
        self.publish = publish
        self.markers = Markers()
        self.story = Story()

    def run(self) -> Story:
        for step in self.steps:
            step()
        return self.story

    @property
    def steps(self) -> list[Callable[[], None]]:
        """All steps in order; the last one forgets the person."""
        before = [self.take_in, self.look, self.consent, self.disclose, self.withdraw, self.ask_for_erasure]
        return [*before, self.approve_and_wait]

    def take_in(self) -> None:
        story = self.story
        story.subject = self._did(self.publish(INTAKE_SERVICE, "register_subject", {}, subject_body(self.markers)))
        body = {"subject_id": story.subject, "kind": "second_opinion"}
        story.case = self._did(self.publish(INTAKE_SERVICE, "open_case", {}, body))
        ids = {"case_id": story.case}
        story.intake = self._did(self.publish(INTAKE_SERVICE, "submit_intake", ids, intake_body(self.markers)))

    def look(self) -> None:
        story = self.story
        listed = self.copy.call(MANAGER, "GET", f"/v1/cases?after={story.position}")
        assert listed.status == 200, listed
        assert set(listed.body) == {"items", "next"}
        (item,) = [i for i in _all_items(self.copy, listed) if i["id"] == story.case]
        assert (item["subject_id"], item["kind"], item["state"]) == (story.subject, "second_opinion", "open")
        case = self.copy.call(MANAGER, "GET", f"/v1/cases/{story.case}?after={story.position}")
        assert case.status == 200, case
        answers = case.body["intakes"][0]["answers"]
        assert answers["reason"].endswith("reason")
        assert answers["insurance"]["insurer"].endswith("insurer")
        assert case.body["identity"]["given_name"].endswith("given")

    def consent(self) -> None:
        story = self.story
        body = {
            "recipient": {"name": self.markers("clinic"), "kind": "provider", "address": self.markers("clinicstreet")},
            "purposes": ["treatment"],
            "valid_from": "2026-01-01",
            "valid_until": "2036-01-01",
        }
        agreed = self.copy.call(OFFICER, "POST", "/v1/agreements", body)
        assert agreed.status == 201, agreed
        story.agreement, story.recipient = self._did(agreed.body), agreed.body["recipient_id"]
        body = {
            "purpose": "treatment",
            "recipient_ids": [story.recipient],
            "categories": ["identity", "medical"],
            "policy_version": "1",
            "language": "en",
            "method": "web_form",
            "valid_until": "2036-01-01",
        }
        story.consent = self._did(self.publish(RIGHTS_SERVICE, "grant_consent", {"subject_id": story.subject}, body))

    def disclose(self) -> None:
        story = self.story
        body = {
            "case_id": story.case,
            "recipient_id": story.recipient,
            "purpose": "treatment",
            "categories": ["identity", "medical"],
            "basis": {"type": "consent", "id": story.consent},
        }
        asked = self.copy.call(MANAGER, "POST", f"/v1/subjects/{story.subject}/disclosures", body)
        assert asked.status == 201, asked
        story.disclosure = self._did(asked.body)
        path = f"/v1/subjects/{story.subject}/disclosures/{story.disclosure}"
        assert self.copy.call(MANAGER, "POST", f"{path}/authorization", {}).status == 403
        authorised = self.copy.call(SECOND_MANAGER, "POST", f"{path}/authorization", {})
        assert authorised.status == 200, authorised
        self._did(authorised.body)
        released = self.copy.call(MANAGER, "POST", f"{path}/release", {})
        assert released.status == 200, released
        self._did(released.body)
        story.content = released.body["content"]
        assert set(story.content) == {"identity", "medical"}
        assert story.content["medical"]["reason"].endswith("reason")
        ledger = self.copy.call(MANAGER, "GET", f"/v1/subjects/{story.subject}/disclosures?after={story.position}")
        (entry,) = ledger.body["items"]
        assert (entry["id"], entry["state"]) == (story.disclosure, "released")

    def withdraw(self) -> None:
        story = self.story
        ids = {"subject_id": story.subject, "consent_id": story.consent}
        self._did(self.publish(RIGHTS_SERVICE, "withdraw_consent", ids, {"reason": self.markers("why")}))
        again = self.copy.call(MANAGER, "POST", f"/v1/subjects/{story.subject}/disclosures", {
            "case_id": story.case,
            "recipient_id": story.recipient,
            "purpose": "treatment",
            "categories": ["identity"],
            "basis": {"type": "consent", "id": story.consent},
        })  # fmt: skip
        assert again.status == 409, again
        assert again.body["type"] == "urn:casekeeper:problem:consent-withdrawn"
        release = f"/v1/subjects/{story.subject}/disclosures/{story.disclosure}/release"
        refused = self.copy.call(MANAGER, "POST", release, {})
        assert refused.status == 409, refused

    def ask_for_erasure(self) -> None:
        story = self.story
        body = {"right": "erasure", "scope": {"categories": None, "case_ids": None}, "channel": "web"}
        asked = self.publish(RIGHTS_SERVICE, "receive_request", {"subject_id": story.subject}, body)
        story.request = self._did(asked)
        assert "due" in asked
        path = f"/v1/requests/{story.request}"
        body = {"method": "telephone", "outcome": "verified"}
        verified = self.copy.call(OFFICER, "POST", f"{path}/verification", body)
        assert verified.status == 200, verified
        self._did(verified.body)

    def approve_and_wait(self) -> None:
        story = self.story
        path = f"/v1/requests/{story.request}"
        preview = self.copy.call(OFFICER, "GET", f"{path}/preview")
        assert preview.status == 200, preview
        assert {e["category"] for e in preview.body["erasable"]} == {
            "identity",
            "medical",
            "insurance",
            "correspondence",
        }
        assert (preview.body["withheld"], preview.body["gone"]) == ([], [])
        body = {"preview_id": preview.body["preview_id"]}
        assert self.copy.call(OFFICER, "POST", f"{path}/approval", body).status == 403
        approved = self.copy.call(SECOND_OFFICER, "POST", f"{path}/approval", body)
        assert approved.status == 202, approved
        deadline = time.monotonic() + 15
        certificate = self.copy.call(OFFICER, "GET", f"{path}/certificate")
        while certificate.status == 404 and time.monotonic() < deadline:
            time.sleep(0.1)
            certificate = self.copy.call(OFFICER, "GET", f"{path}/certificate")
        assert certificate.status == 200, certificate
        story.certificate = certificate.body["certificate_id"]

    def _did(self, body: dict[str, Any]) -> str:
        receipt = body["receipt"]
        self.story.position = max(self.story.position, receipt["position"])
        self.story.event_ids += receipt["event_ids"]
        return body.get("id", "")


def _all_items(copy: Copy, listed: Reply) -> list[dict[str, Any]]:
    items = list(listed.body["items"])
    while listed.body["next"]:
        listed = copy.call(MANAGER, "GET", f"/v1/cases?cursor={listed.body['next']}")
        items += listed.body["items"]
    return items


def forgotten(call: Callable[[Who, str, str, Any], tuple[int, Any]], subject: str) -> str:
    """Have a whole person forgotten, up to the certificate, and return its id.

    ``call`` (caller, method, path, body) returns status and body of the answer.
    """

    def did(who: Who, method: str, path: str, body: Any = None) -> Any:
        status, answer = call(who, method, path, body)
        assert 200 <= status < 300, (status, answer)
        return answer

    wish = {"right": "erasure", "scope": {"categories": None, "case_ids": None}, "channel": "web"}
    request = did(RIGHTS_SERVICE, "POST", f"/v1/subjects/{subject}/requests", wish)["id"]
    path = f"/v1/requests/{request}"
    did(OFFICER, "POST", f"{path}/verification", {"method": "telephone", "outcome": "verified"})
    preview = did(OFFICER, "GET", f"{path}/preview")["preview_id"]
    did(SECOND_OFFICER, "POST", f"{path}/approval", {"preview_id": preview})

    def certificate() -> str | None:
        status, answer = call(OFFICER, "GET", f"{path}/certificate", None)
        return answer["certificate_id"] if status == 200 else None

    return until(certificate, 60, "the certificate")


def find_erased(body: Any) -> list[dict[str, Any]]:
    """Return every tombstone in an answer."""
    found: list[dict[str, Any]] = []
    json.loads(json.dumps(body), object_hook=lambda o: found.append(o["erased"]) or o if "erased" in o else o)
    return found
