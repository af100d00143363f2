"""Every rule that can refuse, with the policy clause it comes from. ``slug`` ends the problem's URN."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule: stable slug, policy clause (see ``policy/``), what it says when it refuses, HTTP status."""

    slug: str
    clause: str
    title: str
    status: int = 409


SUBJECT_FENCED = Rule("subject-erased", "7.2", "The person's data is erased or being erased", 410)
IDENTITY_ERASED = Rule("identity-erased", "7.2", "The person's identity is erased: they are registered anew", 410)
REGISTRATION_NEEDS_REVIEW = Rule(
    "registration-needs-review",
    "7.2",
    "A privacy officer decides about this registration, and enters whom they have looked at as reviewed",
)
POLICY_UNKNOWN = Rule("policy-version-unknown", "8", "No such policy version is in force", 422)

CASE_CLOSED = Rule("case-closed", "2.1", "The case is closed")
CASE_OF_ANOTHER = Rule("case-of-another-person", "2.1", "The case is not this person's")
INTAKE_UNKNOWN = Rule("intake-unknown", "1.2", "The case has no such intake", 404)
TASK_UNKNOWN = Rule("task-unknown", "2.1", "The case has no such task", 404)
TASK_DONE = Rule("task-done", "2.1", "The task is already done")

CONSENT_UNKNOWN = Rule("consent-unknown", "3", "The person gave no such consent", 404)
CONSENT_NOT_GRANTED = Rule("consent-not-granted", "3", "The consent was not granted")
CONSENT_REFUSED = Rule("consent-refused", "3", "The person refused this consent")
CONSENT_WITHDRAWN = Rule("consent-withdrawn", "3", "The consent was withdrawn")
CONSENT_EXPIRED = Rule("consent-expired", "3", "The consent has expired")
CONSENT_ANSWERED = Rule("consent-already-answered", "3", "The consent was already granted or refused")
CONSENT_PURPOSE = Rule("consent-purpose", "3", "The consent does not cover this purpose")
CONSENT_RECIPIENT = Rule("consent-recipient", "3", "The consent does not cover this recipient")
CONSENT_CATEGORY = Rule("consent-category", "3", "The consent does not cover all these categories")

AGREEMENT_MISSING = Rule("agreement-not-in-force", "3", "The recipient has no agreement in force for this purpose")
DISCLOSURE_UNKNOWN = Rule("disclosure-unknown", "3", "The person has no such disclosure", 404)
DISCLOSURE_STATE = Rule("disclosure-state", "3", "The disclosure is not in a state that allows this")
DISCLOSURE_NOT_AUTHORISED = Rule("disclosure-not-authorised", "3", "The disclosure is not authorised")
AUTHORISED_BY_REQUESTER = Rule(
    "second-person-required", "3", "A disclosure is authorised by another person than the one who asked for it", 403
)

REQUEST_UNKNOWN = Rule("request-unknown", "8", "There is no such request", 404)
REQUEST_ACTIVE = Rule("request-already-active", "8", "A request for this right is already active")
REQUEST_STATE = Rule("request-state", "7.2", "The request is not in a state that allows this")
REQUEST_EXTENSION = Rule("request-extension", "8", "A deadline is extended once, and before it has passed")
IDENTITY_NOT_VERIFIED = Rule("identity-not-verified", "7.2", "The person's identity is not verified")
NOTHING_TO_ERASE = Rule("nothing-to-erase", "7.2", "There is nothing left that this request would erase")
ERASURE_TOO_LARGE = Rule(
    "erasure-too-large", "7.2", "One certificate cannot list so many key scopes: ask by category or case"
)
PREVIEW_STALE = Rule("preview-stale", "7.2", "What would be erased has changed since this preview")
APPROVED_BY_REQUESTER = Rule(
    "second-officer-required", "7.2", "An erasure is approved by another officer than the one who handled it", 403
)
NOT_AN_ERASURE = Rule("not-an-erasure", "7.2", "Only an erasure request has this step")
CERTIFICATE_PENDING = Rule("certificate-pending", "7.2", "The erasure is not certified yet", 404)

RECIPIENT_NOT_OWED = Rule("recipient-not-on-certificate", "7.2", "The certificate names no such recipient to tell", 404)
RECIPIENT_TOLD = Rule("recipient-already-told", "7.2", "The recipient has been told of the erasure already")
RECIPIENT_NOT_TOLD = Rule("recipient-not-told", "7.2", "The recipient has not been told of the erasure yet")
RECIPIENT_ACKNOWLEDGED = Rule("recipient-acknowledged", "7.2", "The recipient has acknowledged the erasure already")
SUPPLEMENT_TIME = Rule("supplement-time", "7.2", "What is reported lies in the future, or before it can have been", 422)
PAPER_UNKNOWN = Rule("paper-report-unknown", "7.2", "No such destruction of paper was reported", 404)
PAPER_CONFIRMED = Rule("paper-report-confirmed", "7.2", "This destruction of paper is confirmed already")
CONFIRMED_BY_REPORTER = Rule(
    "second-witness-required", "7.2", "A destruction of paper is confirmed by another person than its reporter", 403
)
HOLD_UNKNOWN = Rule("hold-unknown", "7.2", "There is no such hold on the person's data", 404)
HOLD_STATE = Rule("hold-state", "7.2", "Only a hold that stands is released")
HOLD_REVIEW_DATE = Rule("hold-review-date", "7.2", "A hold is looked at again on a day to come", 422)

PUBLISHER_UNKNOWN = Rule("publisher-unknown", "4", "The publishing service is not registered", 403)

ALL: tuple[Rule, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
