"""Every operation: its body, who may call it for which purpose, whether the inbox takes it, and its handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from marshmallow import Schema

from application import examples
from application.handlers import casework, certificates, disclosing, holding, parties, people, rights
from application.schemas import casework as case_bodies
from application.schemas import certificates as certificate_bodies
from application.schemas import people as people_bodies
from application.unit_of_work import UnitOfWork

Handler = Callable[[UnitOfWork, dict[str, UUID], dict[str, Any]], dict[str, Any]]
Right = tuple[str, str]

INTAKE: Right = ("service", "intake")
FOR_PERSON: Right = ("service", "rights")
CASEWORK: Right = ("case_manager", "casework")
OFFICER: Right = ("privacy_officer", "rights")
REGULATOR: Right = ("regulator", "audit")
OPERATOR: Right = ("operator", "operations")
SCHEDULE: Right = ("system", "operations")


@dataclass(frozen=True)
class Operation:
    """One thing a user can do.

    ``ids``: identifiers HTTP takes from the path and the inbox from the message's data; ``allowed``: pairs of role and
    purpose of use; ``status``: HTTP status on success; ``repeat``: what a repeated call adds to the first answer;
    ``reads``: the resource read when the call decides nothing, recorded as such.
    """

    name: str
    summary: str
    schema: type[Schema]
    handler: Handler
    allowed: frozenset[Right]
    ids: tuple[str, ...] = ()
    status: int = 200
    legal_basis: str = "contract"
    inbox: bool = True
    repeat: Handler | None = None
    reads: str | None = None
    example: Mapping[str, Any] = field(default_factory=dict)


def _operation(
    name: str, summary: str, schema: type[Schema], handler: Handler, *allowed: Right, **more: Any
) -> Operation:
    example = examples.BODIES.get(name, {})
    return Operation(name, summary, schema, handler, frozenset(allowed), example=example, **more)


_CASE = ("case_id",)
_SUBJECT = ("subject_id",)
_CONSENT = ("subject_id", "consent_id")
_DISCLOSURE = ("subject_id", "disclosure_id")
_REQUEST = ("subject_id", "request_id")
_HOLD = ("subject_id", "hold_id")
_made = {"status": 201}
_law = {"legal_basis": "legal_obligation"}
_four_eyes = {"inbox": False}
"""Approvals and authorisations come over HTTP from a person's own token, never from the inbox."""

_ALL = (
    _operation("register_subject", "Register a person", people_bodies.RegisterSubjectSchema,
               people.register_subject, INTAKE, CASEWORK, **_made),
    _operation("register_reviewed_subject", "Register a person after review", people_bodies.RegisterSubjectSchema,
               people.register_reviewed_subject, OFFICER, **_made, **_four_eyes),
    _operation("start_engagement", "Start a person's next engagement", people_bodies.RegisterSubjectSchema,
               people.start_engagement, INTAKE, CASEWORK, ids=_SUBJECT, inbox=False, **_made),
    _operation("open_case", "Open a case", case_bodies.OpenCaseSchema, casework.open_case, INTAKE, CASEWORK, **_made),
    _operation("submit_intake", "Submit an intake", case_bodies.SubmitIntakeSchema,
               casework.submit_intake, INTAKE, CASEWORK, ids=_CASE, **_made),
    _operation("amend_intake", "Amend an intake", case_bodies.SubmitIntakeSchema,
               casework.amend_intake, INTAKE, CASEWORK, FOR_PERSON, ids=("case_id", "intake_id")),
    _operation("add_note", "Add a note", case_bodies.NoteSchema, casework.add_note, CASEWORK, ids=_CASE, **_made),
    _operation("assign_case", "Assign a case", case_bodies.AssignmentSchema,
               casework.assign_case, CASEWORK, ids=_CASE, **_made),
    _operation("add_task", "Add a task", case_bodies.TaskSchema, casework.add_task, CASEWORK, ids=_CASE, **_made),
    _operation("complete_task", "Complete a task", people_bodies.EmptySchema,
               casework.complete_task, CASEWORK, ids=("case_id", "task_id")),
    _operation("close_case", "Close a case", case_bodies.ClosureSchema, casework.close_case, CASEWORK, ids=_CASE),
    _operation("register_agreement", "Register a recipient's agreement", case_bodies.AgreementSchema,
               disclosing.register_agreement, OFFICER, **_made),
    _operation("grant_consent", "Record a consent", people_bodies.GrantConsentSchema,
               people.grant_consent, FOR_PERSON, OFFICER, ids=_SUBJECT, legal_basis="consent", **_made),
    _operation("withdraw_consent", "Withdraw a consent", people_bodies.ReasonSchema,
               people.withdraw_consent, FOR_PERSON, OFFICER, ids=_CONSENT, **_law),
    _operation("expire_consent", "Expire a consent", people_bodies.EmptySchema,
               people.expire_consent, SCHEDULE, ids=_CONSENT, inbox=False),
    _operation("request_disclosure", "Ask for a disclosure", case_bodies.DisclosureSchema,
               disclosing.request_disclosure, CASEWORK, ids=_SUBJECT, legal_basis="consent", **_made, **_four_eyes),
    _operation("authorize_disclosure", "Authorise a disclosure", people_bodies.EmptySchema,
               disclosing.authorize_disclosure, CASEWORK, OFFICER, ids=_DISCLOSURE,
               legal_basis="consent", **_four_eyes),
    _operation("deny_disclosure", "Deny a disclosure", people_bodies.ReasonSchema,
               disclosing.deny_disclosure, CASEWORK, OFFICER, ids=_DISCLOSURE, legal_basis="consent", **_four_eyes),
    _operation("release_disclosure", "Release a disclosure", people_bodies.EmptySchema,
               disclosing.release_disclosure, CASEWORK, ids=_DISCLOSURE, legal_basis="consent",
               repeat=disclosing.repeat_release, reads="release", **_four_eyes),
    _operation("cancel_disclosure", "Cancel a disclosure", people_bodies.ReasonSchema,
               disclosing.cancel_disclosure, CASEWORK, OFFICER, ids=_DISCLOSURE, legal_basis="consent", **_four_eyes),
    _operation("receive_request", "Receive a person's request", people_bodies.ReceiveRequestSchema,
               rights.receive_request, FOR_PERSON, OFFICER, ids=_SUBJECT, **_made, **_law),
    _operation("verify_requester", "Verify the requester", people_bodies.VerificationSchema,
               rights.verify_requester, OFFICER, ids=_REQUEST, **_law, **_four_eyes),
    _operation("preview_erasure", "Preview an erasure", people_bodies.EmptySchema,
               rights.preview_erasure, OFFICER, ids=_REQUEST, reads="preview", **_law, **_four_eyes),
    _operation("approve_erasure", "Approve an erasure", people_bodies.ApprovalSchema,
               rights.approve_erasure, OFFICER, ids=_REQUEST, status=202, **_law, **_four_eyes),
    _operation("refuse_request", "Refuse a request", people_bodies.RefusalSchema,
               rights.refuse_request, OFFICER, ids=_REQUEST, **_law, **_four_eyes),
    _operation("extend_request", "Extend a request's deadline", people_bodies.EmptySchema,
               rights.extend_request, OFFICER, ids=_REQUEST, **_law, **_four_eyes),
    _operation("erasure_certificate", "Show an erasure's certificate", people_bodies.EmptySchema,
               certificates.erasure_certificate, OFFICER, REGULATOR, FOR_PERSON, CASEWORK, ids=_REQUEST,
               reads="certificate", **_law, **_four_eyes),
    _operation("notify_recipient", "Record that a recipient was told of an erasure",
               certificate_bodies.NotificationSchema, certificates.notify_recipient, OFFICER, ids=_REQUEST,
               **_made, **_law, **_four_eyes),
    _operation("acknowledge_erasure", "Record that a recipient acknowledged an erasure",
               certificate_bodies.AcknowledgementSchema, certificates.acknowledge_erasure, OFFICER, ids=_REQUEST,
               **_made, **_law, **_four_eyes),
    _operation("report_paper_destruction", "Report that paper records were destroyed",
               certificate_bodies.PaperDestructionSchema, certificates.report_paper_destruction, OFFICER,
               ids=_REQUEST, **_made, **_law, **_four_eyes),
    _operation("confirm_paper_destruction", "Confirm that paper records were destroyed",
               certificate_bodies.PaperConfirmationSchema, certificates.confirm_paper_destruction, OFFICER,
               ids=_REQUEST, **_made, **_law, **_four_eyes),
    _operation("place_hold", "Place a legal hold", people_bodies.HoldSchema,
               holding.place_hold, OFFICER, ids=_SUBJECT, **_made, **_law, **_four_eyes),
    _operation("release_hold", "Release a legal hold", people_bodies.EmptySchema,
               holding.release_hold, OFFICER, ids=_HOLD, **_law, **_four_eyes),
    _operation("list_holds", "List the holds on a person's data", people_bodies.EmptySchema,
               holding.list_holds, OFFICER, REGULATOR, ids=_SUBJECT, reads="holds", **_law, **_four_eyes),
    _operation("register_publisher", "Register a publishing service", case_bodies.PublisherSchema,
               parties.register_publisher, OPERATOR, inbox=False, **_made),
    _operation("revoke_publisher", "Revoke a publishing service", people_bodies.EmptySchema,
               parties.revoke_publisher, OPERATOR, ids=("publisher_id",), inbox=False),
)  # fmt: skip

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}
"""All operations by name."""
