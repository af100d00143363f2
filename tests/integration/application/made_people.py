"""People made through the service, and the callers who work on them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from application.caller import Caller
from application.erasure import ErasureSaga
from application.examples import BODIES
from application.service import Answer, Service
from domain.rights import DueErasure
from tests.new_people import new_person


def caller(role: str, purpose: str | None, who: str = "a1") -> Caller:
    return Caller("staff", who, frozenset({role}), purpose, "api", uuid4())


INTAKE = caller("service", "intake", "forms")
RIGHTS = caller("service", "rights", "forms")
MANAGER = caller("case_manager", "casework", "a1")
SECOND = caller("case_manager", "casework", "a2")
OFFICER = caller("privacy_officer", "rights", "p1")
SECOND_OFFICER = caller("privacy_officer", "rights", "p2")


def body(name: str, **changes: Any) -> dict[str, Any]:
    return {**BODIES.get(name, {}), **changes}


class Made:
    """A person with a case, an intake, a recipient and a consent, made through the service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.subject = self.do(INTAKE, "register_subject", new_person()).body["id"]
        self.case = self.do(INTAKE, "open_case", body("open_case", subject_id=self.subject)).body["id"]
        self.do(INTAKE, "submit_intake", case_id=self.case)
        self.recipient = self.do(OFFICER, "register_agreement").body["recipient_id"]
        granted = body("grant_consent", recipient_ids=[self.recipient])
        self.consent = self.do(RIGHTS, "grant_consent", granted, subject_id=self.subject).body["id"]

    def do(self, who: Caller, name: str, content: Any = None, key: str | None = None, **ids: str) -> Answer:
        return self.service.execute(name, who, ids, body(name) if content is None else content, key)

    def authorized(self) -> str:
        wish = body(
            "request_disclosure",
            case_id=self.case,
            recipient_id=self.recipient,
            basis={"type": "consent", "id": self.consent},
        )
        disclosure = self.do(MANAGER, "request_disclosure", wish, subject_id=self.subject).body["id"]
        self.do(SECOND, "authorize_disclosure", subject_id=self.subject, disclosure_id=disclosure)
        return disclosure

    def release(self, disclosure: str, key: str | None = None) -> Answer:
        return self.do(MANAGER, "release_disclosure", key=key, subject_id=self.subject, disclosure_id=disclosure)

    def approved_erasure(self, scope: dict[str, Any] | None = None) -> str:
        wish = body("receive_request", scope=scope)
        request = self.do(RIGHTS, "receive_request", wish, subject_id=self.subject).body["id"]
        ids = {"subject_id": self.subject, "request_id": request}
        self.do(OFFICER, "verify_requester", **ids)
        preview = self.do(OFFICER, "preview_erasure", **ids).body["preview_id"]
        self.do(SECOND_OFFICER, "approve_erasure", {"preview_id": preview}, **ids)
        return request

    def run_saga(self, request: str, *steps: str) -> None:
        """Carry out the steps of an erasure, or all of them. Raises what kept one from being done."""
        saga = ErasureSaga(self.service.resources, self.service.clock)
        erasure = DueErasure(UUID(self.subject), UUID(request), uuid4())
        for step in steps or ("fence", "drain", "destroy", "certify"):
            if step == "fence":
                saga.fence(erasure)
            elif step == "certify":
                saga.certify(erasure, {"people": self.service.log.head()})
            else:
                for failure in getattr(saga, step)([erasure]).values():
                    raise failure
