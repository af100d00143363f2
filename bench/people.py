"""People to forget: registered in the service, their erasure asked for and previewed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from application.caller import Caller
from application.examples import BODIES
from application.service import Service


def caller(actor: str, role: str, purpose: str) -> Caller:
    """Return who calls the service in this process."""
    return Caller("bench", actor, frozenset({role}), purpose, "api", uuid4())


MANAGER = caller("a1", "case_manager", "casework")
OFFICER = caller("p1", "privacy_officer", "rights")
SECOND_OFFICER = caller("p2", "privacy_officer", "rights")


@dataclass(frozen=True)
class ToForget:
    """A person's erasure that waits for approval."""

    subject_id: str
    request_id: str
    preview_id: str

    def approve(self, service: Service) -> None:
        """Approve it as a second officer."""
        ids = {"subject_id": self.subject_id, "request_id": self.request_id}
        service.execute("approve_erasure", SECOND_OFFICER, ids, {"preview_id": self.preview_id})


def register(service: Service) -> str:
    """Register somebody who resembles nobody who was forgotten before; return the person's id."""
    body = BODIES["register_subject"]
    name = uuid4().hex
    identity = {**body["identity"], "family_name": name, "email": f"{name}@example.org"}
    return _id(service.execute("register_subject", MANAGER, {}, {**body, "identity": identity}).body)


def open_case(service: Service, subject_id: str) -> str:
    """Open a case with an intake; return its id."""
    case = _id(service.execute("open_case", MANAGER, {}, {**BODIES["open_case"], "subject_id": subject_id}).body)
    service.execute("submit_intake", MANAGER, {"case_id": case}, BODIES["submit_intake"])
    return case


def preview(service: Service, subject_id: str) -> ToForget:
    """Ask for a person's erasure and preview it."""
    asked = {"subject_id": subject_id}
    request = _id(service.execute("receive_request", OFFICER, asked, BODIES["receive_request"]).body)
    ids = {**asked, "request_id": request}
    service.execute("verify_requester", OFFICER, ids, BODIES["verify_requester"])
    shown = service.execute("preview_erasure", OFFICER, ids, {}).body
    return ToForget(subject_id, request, str(shown["preview_id"]))


def _id(body: Any) -> str:
    return str(body["id"])
