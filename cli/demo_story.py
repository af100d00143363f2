"""What happens to some of the demonstration's people, so that every page has something to show.

Every call has an idempotency key and a body that stays the same: told again, the story adds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cli.demo_calls import Calls, Refused, Who

FORMS = Who("web-forms", "service", "intake")
FOR_PERSON = Who("web-forms", "service", "rights")
MANAGER = Who("a1", "case_manager", "casework")
SECOND = Who("a2", "case_manager", "casework")
OFFICER = Who("p1", "privacy_officer", "rights")
SECOND_OFFICER = Who("p2", "privacy_officer", "rights")

_CERTIFICATE_SECONDS = 60.0
_CATEGORIES = ["identity", "medical"]


@dataclass(frozen=True)
class Member:
    """One imported person of the cast."""

    number: int
    subject_id: str
    case_id: str


class Story:
    """Tells the story. ``day`` is the day it was first begun: due dates are counted from it."""

    def __init__(self, calls: Calls, cast: Sequence[Member], day: date, say: Callable[[str], None]) -> None:
        self._calls = calls
        self._cast = {member.number: member for member in cast}
        self._day = day
        self._say = say
        policies = calls.get(OFFICER, "/v1/policies")["items"]
        self._policy = next(p["version"] for p in policies if p["in_force"])

    def tell(self) -> None:
        """Go through everybody's part. Raises :class:`Refused` where the service does not answer as it should."""
        self._say("recipients and their agreements")
        self._clinic = self._recipient("Sampleton Clinic", "provider", ["treatment"])
        self._insurer = self._recipient("Example Mutual", "insurer", ["insurance_claim"])
        parts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("casework", self._casework),
            ("consents", self._consents),
            ("disclosures", self._disclosures),
            ("withdrawals", self._withdrawals),
            ("requests", self._requests),
            ("erasures", self._erasures),
        )
        for name, part in parts:
            self._say(name)
            part()

    def _recipient(self, name: str, kind: str, purposes: list[str]) -> str:
        recipient = {"name": name, "kind": kind, "address": f"1 {name} Road, Sampleton"}
        body = {"recipient": recipient, "purposes": purposes, "valid_from": "2024-01-01", "valid_until": "2036-01-01"}
        return str(self._calls.post(OFFICER, "/v1/agreements", body, f"agreement-{kind}")["recipient_id"])

    def _casework(self) -> None:
        for number in range(12):
            self._on_case(number, MANAGER, "assignments", {"assignee": ("a1", "a2", "a3")[number % 3]})
        for number in range(8):
            due = self._day + timedelta(days=3 * number - 4)
            task = {"title": "Call about the next appointment", "due": due.isoformat(), "assignee": "a1"}
            added = self._on_case(number, MANAGER, "tasks", task)
            if number % 3 == 2:
                self._on_case(number, MANAGER, f"tasks/{added['id']}/completion", {})
        for number in range(6):
            self._on_case(number, MANAGER, "notes", {"text": "Spoke on the telephone; letters may go by e-mail."})
        self._on_case(9, SECOND, "notes", {"text": "All questions are answered."})
        self._on_case(9, SECOND, "closure", {"reason": "completed", "remark": "Thanked for the care."})

    def _consents(self) -> None:
        self._consent(0, "treatment", self._clinic)
        self._consent(10, "treatment", self._clinic, decision="refused")
        self._consent(11, "insurance_claim", self._insurer, decision="asked")
        self._consent(12, "insurance_claim", self._insurer, method="telephone")

    def _disclosures(self) -> None:
        for number in (1, 2):
            self._released(number)
        asked = self._asked(3)
        self._disclosure_step(3, SECOND, asked, "authorization")
        denied = self._asked(4)
        self._disclosure_step(4, SECOND, denied, "denial", {"reason": "More than the purpose needs."})
        self._asked(5)

    def _withdrawals(self) -> None:
        consent, _ = self._released(6)
        path = f"/v1/subjects/{self._cast[6].subject_id}/consents/{consent}/withdrawal"
        self._calls.post(FOR_PERSON, path, {"reason": "I have changed my mind."}, "withdrawal-6")
        second = self._withdrawn_before_release(7)
        self._say(f"a release after withdrawal was refused: {second}")

    def _withdrawn_before_release(self, number: int) -> str:
        """Return the reason for which a release is refused once its consent is withdrawn."""
        subject = self._cast[number].subject_id
        consent = self._consent(number, "treatment", self._clinic)
        disclosure = self._disclosure(number, consent)
        self._disclosure_step(number, SECOND, disclosure, "authorization")
        path = f"/v1/subjects/{subject}/consents/{consent}/withdrawal"
        self._calls.post(FOR_PERSON, path, {}, f"withdrawal-{number}")
        try:
            self._disclosure_step(number, MANAGER, disclosure, "release")
        except Refused as refused:
            if refused.slug != "consent-withdrawn":
                raise
            return refused.slug
        raise Refused(200, "released-after-withdrawal")

    def _requests(self) -> None:
        self._request(13, "access")
        verified = self._request(14, "rectification")
        self._verify(verified, 14)
        refused = self._request(15, "objection")
        path = f"/v1/requests/{refused}/refusal"
        self._calls.post(OFFICER, path, {"ground": "withdrawn_by_person"}, "refusal-15")

    def _erasures(self) -> None:
        waiting = self._request(16, "erasure")
        self._verify(waiting, 16)
        self._released(17)
        for number, categories in ((17, None), (18, ["medical"])):
            self._erase(number, categories)

    def _erase(self, number: int, categories: list[str] | None) -> None:
        request = self._request(number, "erasure", categories)
        self._verify(request, number)
        try:
            preview = self._calls.get(OFFICER, f"/v1/requests/{request}/preview")["preview_id"]
            body = {"preview_id": preview}
            self._calls.post(SECOND_OFFICER, f"/v1/requests/{request}/approval", body, f"approval-{number}")
        except Refused as refused:
            # Told before, up to here: an approved erasure has no preview any more.
            if refused.slug not in ("request-state", "idempotency-key-reused", "subject-erased"):
                raise
        deadline = time.monotonic() + _CERTIFICATE_SECONDS
        while True:
            try:
                self._calls.get(OFFICER, f"/v1/requests/{request}/certificate")
                return
            except Refused as refused:
                if refused.slug != "certificate-pending" or time.monotonic() > deadline:
                    raise
            time.sleep(0.3)

    def _released(self, number: int) -> tuple[str, str]:
        consent = self._consent(number, "treatment", self._clinic)
        disclosure = self._disclosure(number, consent)
        self._disclosure_step(number, SECOND, disclosure, "authorization")
        try:
            self._disclosure_step(number, MANAGER, disclosure, "release")
        except Refused as refused:
            # Told before, and the story went on: a release is checked again each time it is asked for.
            if refused.slug not in ("consent-withdrawn", "subject-erased"):
                raise
        return consent, disclosure

    def _asked(self, number: int) -> str:
        return self._disclosure(number, self._consent(number, "treatment", self._clinic))

    def _consent(
        self, number: int, purpose: str, recipient: str, decision: str = "granted", method: str = "web_form"
    ) -> str:
        body = {
            "purpose": purpose,
            "recipient_ids": [recipient],
            "categories": _CATEGORIES if purpose == "treatment" else ["identity", "insurance"],
            "policy_version": self._policy,
            "language": "en",
            "method": method,
            "valid_until": "2036-01-01",
            "decision": decision,
        }
        path = f"/v1/subjects/{self._cast[number].subject_id}/consents"
        return str(self._calls.post(FOR_PERSON, path, body, f"consent-{number}")["id"])

    def _disclosure(self, number: int, consent: str) -> str:
        body = {
            "case_id": self._cast[number].case_id,
            "recipient_id": self._clinic,
            "purpose": "treatment",
            "categories": _CATEGORIES,
            "basis": {"type": "consent", "id": consent},
        }
        path = f"/v1/subjects/{self._cast[number].subject_id}/disclosures"
        return str(self._calls.post(MANAGER, path, body, f"disclosure-{number}")["id"])

    def _disclosure_step(
        self, number: int, who: Who, disclosure: str, step: str, body: dict[str, Any] | None = None
    ) -> None:
        path = f"/v1/subjects/{self._cast[number].subject_id}/disclosures/{disclosure}/{step}"
        self._calls.post(who, path, body or {}, f"{step}-{number}")

    def _request(self, number: int, right: str, categories: list[str] | None = None) -> str:
        body = {"right": right, "scope": {"categories": categories, "case_ids": None}, "channel": "web"}
        path = f"/v1/subjects/{self._cast[number].subject_id}/requests"
        return str(self._calls.post(FOR_PERSON, path, body, f"request-{number}")["id"])

    def _verify(self, request: str, number: int) -> None:
        body = {"method": "telephone", "outcome": "verified"}
        self._calls.post(OFFICER, f"/v1/requests/{request}/verification", body, f"verification-{number}")

    def _on_case(self, number: int, who: Who, path: str, body: dict[str, Any]) -> dict[str, Any]:
        key = f"{path.replace('/', '-')}-{number}"
        return self._calls.post(who, f"/v1/cases/{self._cast[number].case_id}/{path}", body, key)
