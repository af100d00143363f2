"""Registering people; their consents."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.handlers.sealing import seal_text
from application.suppression import check_not_suppressed
from application.unit_of_work import UnitOfWork
from domain.consents import ConsentTerms
from domain.events.consent import ConsentWithdrawn
from domain.events.person import EngagementStarted, SubjectRegistered
from domain.sealed import KeyScope
from domain.subject import Subject

Ids = dict[str, UUID]


def register_subject(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Register a person and the notice they were shown (policy clause 1.1), unless a human must look first."""
    check_not_suppressed(work.vault, body["identity"], work.now)
    return register_reviewed_subject(work, ids, body)


def register_reviewed_subject(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Register a person whom a privacy officer has looked at: nothing is recorded of what there was to look at."""
    version = body["notice"]["policy_version"]
    work.policies.check_in_force(version, work.now)
    subject_id, event_id = work.new_id(), work.new_id()
    identity = work.seal(
        subject_id,
        SubjectRegistered,
        event_id,
        "identity",
        KeyScope(subject_id, "identity", None, 1),
        {**body["identity"], "time_zone": body["time_zone"]},
    )
    subject = work.made(Subject.register(work.context, event_id, subject_id, body["language"], identity))
    subject.serve_notice(work.context, work.new_id(), version)
    return {"id": str(subject_id)}


def start_engagement(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Begin a person's next engagement: new data goes under new keys, what was erased stays erased."""
    version = body["notice"]["policy_version"]
    work.policies.check_in_force(version, work.now)
    subject, event_id = work.person(ids["subject_id"]), work.new_id()
    subject.check_engaged()
    identity = work.seal(
        subject.id,
        EngagementStarted,
        event_id,
        "identity",
        KeyScope(subject.id, "identity", None, subject.engagement + 1),
        {**body["identity"], "time_zone": body["time_zone"]},
    )
    subject.start_engagement(work.context, event_id, body["language"], identity)
    subject.serve_notice(work.context, work.new_id(), version)
    return {"id": str(subject.id), "engagement": subject.engagement}


def grant_consent(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record that a person was asked, consented or refused (policy clause 3)."""
    work.policies.check_in_force(body["policy_version"], work.now)
    subject = work.person(ids["subject_id"])
    for recipient_id in body["recipient_ids"]:
        work.recipient(recipient_id)
    terms = ConsentTerms(
        body["purpose"],
        tuple(body["recipient_ids"]),
        tuple(body["categories"]),
        body["policy_version"],
        body["language"],
        body["method"],
        body["valid_until"],
    )
    consent_id = body["consent_id"] or work.new_id()
    if body["consent_id"] is not None:
        subject.consent(consent_id)
    decide = {
        "asked": subject.ask_consent,
        "granted": subject.grant_consent,
        "refused": subject.refuse_consent,
    }[body["decision"]]
    decide(work.context, work.new_id(), consent_id, terms)
    return {"id": str(consent_id)}


def withdraw_consent(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record a withdrawal (GDPR Art. 7(3)): one call, as easy as giving."""
    subject = work.person(ids["subject_id"])
    event_id = work.new_id()
    subject.consent(ids["consent_id"])
    reason = seal_text(work, subject, ConsentWithdrawn, event_id, "reason", body["reason"])
    subject.withdraw_consent(work.context, event_id, ids["consent_id"], reason)
    return {"id": str(ids["consent_id"]), "state": "withdrawn"}


def expire_consent(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record that a consent has run out; called by the schedule."""
    work.person(ids["subject_id"]).expire_consent(work.context, work.new_id(), ids["consent_id"])
    return {"id": str(ids["consent_id"]), "state": "expired"}
