"""Things that exist, for each operation of the OpenAPI document: what makes a call of it succeed, made fresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from application.examples import BODIES
from tests.callers import INTAKE_SERVICE, MANAGER, OFFICER, PERSON, REGULATOR, SECOND_MANAGER, SECOND_OFFICER, Who
from tests.new_people import new_person
from tests.waiting import until

Call = Callable[[Who, str, str, Any], Any]


@dataclass(frozen=True)
class Ready:
    """A call that succeeds: who makes it, the ids of its path, its query and body."""

    who: Who | None
    ids: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class Stage:
    """Makes people, cases and everything on them over HTTP; ``call`` returns the JSON of a success or fails."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def ready(self, method: str, path: str) -> Ready:
        """Return a call of this operation that succeeds."""
        return _READY[f"{method} {path}"](self)

    def person(self) -> str:
        return self._made(INTAKE_SERVICE, "/v1/subjects", new_person())

    def case(self, person: str | None = None) -> str:
        return self._made(
            INTAKE_SERVICE, "/v1/cases", {"subject_id": person or self.person(), "kind": "second_opinion"}
        )

    def intake(self, case: str) -> str:
        return self._made(INTAKE_SERVICE, f"/v1/cases/{case}/intakes", BODIES["submit_intake"])

    def task(self, case: str) -> str:
        return self._made(MANAGER, f"/v1/cases/{case}/tasks", BODIES["add_task"])

    def hold(self) -> dict[str, str]:
        person = self.person()
        return {
            "subject_id": person,
            "hold_id": self._made(OFFICER, f"/v1/subjects/{person}/holds", BODIES["place_hold"]),
        }

    def consent(self, person: str, recipient: str | None = None) -> str:
        return self._made(PERSON, f"/v1/subjects/{person}/consents", self.grant(recipient))

    def grant(self, recipient: str | None = None) -> dict[str, Any]:
        return {**BODIES["grant_consent"], "recipient_ids": [recipient or self.recipient()]}

    def recipient(self) -> str:
        return self._call(OFFICER, "POST", "/v1/agreements", BODIES["register_agreement"])["recipient_id"]

    def terms(self, person: str) -> dict[str, Any]:
        case, recipient = self.case(person), self.recipient()
        self.intake(case)
        basis = {"type": "consent", "id": self.consent(person, recipient)}
        return {**BODIES["request_disclosure"], "case_id": case, "recipient_id": recipient, "basis": basis}

    def disclosure(self, *, authorised: bool = False, person: str | None = None) -> dict[str, str]:
        person = person or self.person()
        made = self._made(MANAGER, f"/v1/subjects/{person}/disclosures", self.terms(person))
        if authorised:
            self._call(SECOND_MANAGER, "POST", f"/v1/subjects/{person}/disclosures/{made}/authorization", {})
        return {"subject_id": person, "disclosure_id": made}

    def request(self, *, verified: bool = False, right: str = "erasure", person: str | None = None) -> dict[str, str]:
        body = {**BODIES["receive_request"], "right": right}
        made = self._made(PERSON, f"/v1/subjects/{person or self.person()}/requests", body)
        if verified:
            self._call(OFFICER, "POST", f"/v1/requests/{made}/verification", BODIES["verify_requester"])
        return {"request_id": made}

    def previewed(self, person: str | None = None) -> tuple[dict[str, str], str]:
        ids = self.request(verified=True, person=person)
        return ids, self._call(OFFICER, "GET", f"/v1/requests/{ids['request_id']}/preview", None)["preview_id"]

    def certified(self, person: str | None = None) -> dict[str, str]:
        ids, preview = self.previewed(person)
        path = f"/v1/requests/{ids['request_id']}"
        self._call(SECOND_OFFICER, "POST", f"{path}/approval", {"preview_id": preview})
        until(lambda: self._state(path) == "certified", 120, f"{path} certified")
        return ids

    def owed(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return a certified erasure, and the notice of it that its one recipient is owed."""
        person = self.person()
        ids = self.disclosure(authorised=True, person=person)
        path = f"/v1/subjects/{person}/disclosures/{ids['disclosure_id']}/release"
        self._call(MANAGER, "POST", path, {})
        request = self.certified(person)
        [recipient] = self.certificate(request)["recipients"]
        return request, {"recipient_id": recipient["recipient_id"], "channel": "email", "sent": _now()}

    def told(self) -> tuple[dict[str, str], str]:
        request, notice = self.owed()
        self._call(OFFICER, "POST", f"/v1/requests/{request['request_id']}/notifications", notice)
        return request, notice["recipient_id"]

    def reported(self) -> tuple[dict[str, str], str]:
        request = self.certified()
        path = f"/v1/requests/{request['request_id']}/paper-destruction"
        return request, self._call(OFFICER, "POST", path, _paper())["report_id"]

    def certificate(self, request: dict[str, str]) -> dict[str, Any]:
        return self._call(OFFICER, "GET", f"/v1/requests/{request['request_id']}/certificate", None)

    def _state(self, path: str) -> str:
        items = self._call(OFFICER, "GET", "/v1/requests?limit=100", None)["items"]
        return next(item["state"] for item in items if path.endswith(item["id"]))

    def _made(self, who: Who, path: str, body: Any) -> str:
        return self._call(who, "POST", path, body)["id"]


def _on_case(who: Who, operation: str) -> Callable[[Stage], Ready]:
    return lambda s: Ready(who, {"case_id": s.case()}, body=BODIES.get(operation, {}))


def _on_disclosure(who: Who, operation: str, *, authorised: bool = False) -> Callable[[Stage], Ready]:
    return lambda s: Ready(who, s.disclosure(authorised=authorised), body=BODIES.get(operation, {}))


def _amend(s: Stage) -> Ready:
    case = s.case()
    return Ready(INTAKE_SERVICE, {"case_id": case, "intake_id": s.intake(case)}, body=BODIES["amend_intake"])


def _complete(s: Stage) -> Ready:
    case = s.case()
    return Ready(MANAGER, {"case_id": case, "task_id": s.task(case)}, body={})


def _withdraw(s: Stage) -> Ready:
    person = s.person()
    ids = {"subject_id": person, "consent_id": s.consent(person)}
    return Ready(PERSON, ids, body=BODIES["withdraw_consent"])


def _ask(s: Stage) -> Ready:
    person = s.person()
    return Ready(MANAGER, {"subject_id": person}, body=s.terms(person))


def _approve(s: Stage) -> Ready:
    ids, preview = s.previewed()
    return Ready(SECOND_OFFICER, ids, body={"preview_id": preview})


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _paper() -> dict[str, Any]:
    return {**BODIES["report_paper_destruction"], "destroyed": _now()}


def _notify(s: Stage) -> Ready:
    ids, notice = s.owed()
    return Ready(OFFICER, ids, body=notice)


def _acknowledge(s: Stage) -> Ready:
    ids, recipient = s.told()
    return Ready(OFFICER, ids, body={"recipient_id": recipient, "channel": "email", "acknowledged": _now()})


def _confirm(s: Stage) -> Ready:
    ids, report_id = s.reported()
    return Ready(SECOND_OFFICER, ids, body={"report_id": report_id})


_SUBJECT, _CASE, _REQUEST = "/v1/subjects/{subject_id}", "/v1/cases/{case_id}", "/v1/requests/{request_id}"
_DISCLOSURE = f"{_SUBJECT}/disclosures/{{disclosure_id}}"
_READY: Mapping[str, Callable[[Stage], Ready]] = {
    "GET /health/live": lambda _: Ready(None),
    "GET /health/ready": lambda _: Ready(None),
    "GET /v1/inbox-key": lambda _: Ready(None),
    "GET /v1/outcome-keys": lambda _: Ready(None),
    "GET /v1/policies": lambda _: Ready(REGULATOR),
    "POST /v1/subjects": lambda _: Ready(INTAKE_SERVICE, body=BODIES["register_subject"]),
    "POST /v1/subjects/reviewed": lambda _: Ready(OFFICER, body=BODIES["register_reviewed_subject"]),
    "POST /v1/subjects/search": lambda _: Ready(MANAGER, body={"family_name": "Example", "given_name": "Ada"}),
    f"GET {_SUBJECT}": lambda s: Ready(MANAGER, {"subject_id": s.person()}),
    "POST /v1/cases": lambda s: Ready(INTAKE_SERVICE, body={"subject_id": s.person(), "kind": "second_opinion"}),
    "GET /v1/cases": lambda _: Ready(MANAGER, query={"limit": "5", "state": "open"}),
    f"GET {_CASE}": lambda s: Ready(MANAGER, {"case_id": s.case()}),
    f"POST {_CASE}/intakes": _on_case(INTAKE_SERVICE, "submit_intake"),
    f"POST {_CASE}/intakes/{{intake_id}}/amendments": _amend,
    f"POST {_CASE}/notes": _on_case(MANAGER, "add_note"),
    f"POST {_CASE}/tasks": _on_case(MANAGER, "add_task"),
    f"POST {_CASE}/tasks/{{task_id}}/completion": _complete,
    f"POST {_CASE}/assignments": _on_case(MANAGER, "assign_case"),
    f"POST {_CASE}/closure": _on_case(MANAGER, "close_case"),
    "POST /v1/agreements": lambda _: Ready(OFFICER, body=BODIES["register_agreement"]),
    f"POST {_SUBJECT}/consents": lambda s: Ready(PERSON, {"subject_id": s.person()}, body=s.grant()),
    f"GET {_SUBJECT}/consents": lambda s: Ready(MANAGER, {"subject_id": s.person()}),
    f"POST {_SUBJECT}/consents/{{consent_id}}/withdrawal": _withdraw,
    f"POST {_SUBJECT}/disclosures": _ask,
    f"GET {_SUBJECT}/disclosures": lambda s: Ready(MANAGER, {"subject_id": s.disclosure()["subject_id"]}),
    f"POST {_DISCLOSURE}/authorization": _on_disclosure(SECOND_MANAGER, "authorize_disclosure"),
    f"POST {_DISCLOSURE}/denial": _on_disclosure(SECOND_MANAGER, "deny_disclosure"),
    f"POST {_DISCLOSURE}/cancellation": _on_disclosure(MANAGER, "cancel_disclosure"),
    f"POST {_DISCLOSURE}/release": _on_disclosure(MANAGER, "release_disclosure", authorised=True),
    f"POST {_SUBJECT}/engagements": lambda s: Ready(
        INTAKE_SERVICE, {"subject_id": s.person()}, body=BODIES["start_engagement"]
    ),
    f"POST {_SUBJECT}/holds": lambda s: Ready(OFFICER, {"subject_id": s.person()}, body=BODIES["place_hold"]),
    f"GET {_SUBJECT}/holds": lambda s: Ready(REGULATOR, {"subject_id": s.hold()["subject_id"]}),
    f"POST {_SUBJECT}/holds/{{hold_id}}/release": lambda s: Ready(OFFICER, s.hold(), body={}),
    f"POST {_SUBJECT}/requests": lambda s: Ready(PERSON, {"subject_id": s.person()}, body=BODIES["receive_request"]),
    "GET /v1/requests": lambda _: Ready(OFFICER, query={"limit": "5", "right": "erasure"}),
    f"POST {_REQUEST}/verification": lambda s: Ready(OFFICER, s.request(), body=BODIES["verify_requester"]),
    f"POST {_REQUEST}/refusal": lambda s: Ready(OFFICER, s.request(), body=BODIES["refuse_request"]),
    f"POST {_REQUEST}/extension": lambda s: Ready(OFFICER, s.request(right="access"), body={}),
    f"GET {_REQUEST}/preview": lambda s: Ready(OFFICER, s.request(verified=True)),
    f"POST {_REQUEST}/approval": _approve,
    f"GET {_REQUEST}/certificate": lambda s: Ready(OFFICER, s.certified()),
    f"POST {_REQUEST}/notifications": _notify,
    f"POST {_REQUEST}/acknowledgements": _acknowledge,
    f"POST {_REQUEST}/paper-destruction": lambda s: Ready(OFFICER, s.certified(), body=_paper()),
    f"POST {_REQUEST}/paper-destruction/confirmation": _confirm,
    "GET /v1/certificate-keys": lambda _: Ready(REGULATOR),
    "POST /v1/audit/replays": lambda s: Ready(REGULATOR, body={"subject_id": s.person()}),
}
"""``METHOD path`` of every operation of the document to what makes it succeed."""
