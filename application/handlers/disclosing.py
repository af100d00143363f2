"""Recipients and their agreements; disclosures in two steps (policy clause 3)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.handlers.sealing import seal_text
from application.unit_of_work import UnitOfWork
from domain import rules
from domain.case import Case
from domain.disclosures import Disclosure, DisclosureTerms
from domain.errors import RuleRefused
from domain.events.disclosure import DisclosureCancelled, DisclosureDenied
from domain.events.parties import RecipientRegistered
from domain.recipient import Recipient
from domain.sealed import Erased, KeyScope, SealedField
from domain.subject import Subject

Ids = dict[str, UUID]


def register_agreement(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Register an agreement, and its recipient when it is the first."""
    if body["recipient_id"] is not None:
        recipient = work.recipient(body["recipient_id"])
    else:
        recipient = _register_recipient(work, body["recipient"])
    agreement_id = work.new_id()
    recipient.agree(
        work.context,
        work.new_id(),
        agreement_id,
        tuple(body["purposes"]),
        body["valid_from"],
        body["valid_until"],
    )
    return {"id": str(agreement_id), "recipient_id": str(recipient.id)}


def request_disclosure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Ask that data be disclosed; refused at once when the basis does not hold."""
    subject = work.person(ids["subject_id"])
    terms = DisclosureTerms(
        body["case_id"],
        body["recipient_id"],
        body["purpose"],
        tuple(body["categories"]),
        body["basis"]["type"],
        body["basis"]["id"],
    )
    case, recipient = work.case(terms.case_id), work.recipient(terms.recipient_id)
    disclosure_id = work.new_id()
    subject.request_disclosure(work.context, work.new_id(), disclosure_id, terms, case, recipient)
    return {"id": str(disclosure_id)}


def authorize_disclosure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Authorise a disclosure somebody else asked for."""
    work.person(ids["subject_id"]).authorize_disclosure(work.context, work.new_id(), ids["disclosure_id"])
    return {"id": str(ids["disclosure_id"]), "state": "authorized"}


def deny_disclosure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Deny a disclosure somebody else asked for."""
    subject, event_id = work.person(ids["subject_id"]), work.new_id()
    reason = seal_text(work, subject, DisclosureDenied, event_id, "reason", body["reason"])
    subject.deny_disclosure(work.context, event_id, ids["disclosure_id"], reason)
    return {"id": str(ids["disclosure_id"]), "state": "denied"}


def cancel_disclosure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Call a disclosure off."""
    subject, event_id = work.person(ids["subject_id"]), work.new_id()
    reason = seal_text(work, subject, DisclosureCancelled, event_id, "reason", body["reason"])
    subject.cancel_disclosure(work.context, event_id, ids["disclosure_id"], reason)
    return {"id": str(ids["disclosure_id"]), "state": "cancelled"}


def release_disclosure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Let the data out after a second check of consent and agreement.

    The content is opened before the event is appended, so that an unreachable keyring never leaves a release recorded
    that did not happen; it is answered only after the event is durable.
    """
    subject, case, recipient = _of_disclosure(work, ids)
    disclosure = subject.check_release(work.context, ids["disclosure_id"], case, recipient)
    fields = _content_fields(subject, case, disclosure)
    content = _open_content(work, fields, disclosure)
    sources = tuple(dict.fromkeys(field.binding.event_id for _, field in fields))
    subject.release_disclosure(work.context, work.new_id(), disclosure.id, case, recipient, sources)
    return {"id": str(disclosure.id), "state": "released", "content": content}


def repeat_release(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Open the released data again for a repeated call, through the same checks; nothing is recorded twice.

    Raises :class:`RuleRefused` when the consent or the agreement no longer holds.
    """
    subject, case, recipient = _of_disclosure(work, ids)
    disclosure = subject.check_release(work.context, ids["disclosure_id"], case, recipient)
    fields = [
        (name, field)
        for name, field in _content_fields(subject, case, disclosure)
        if field.binding.event_id in disclosure.source_event_ids
    ]
    return {"content": _open_content(work, fields, disclosure)}


def _register_recipient(work: UnitOfWork, body: dict[str, Any]) -> Recipient:
    recipient_id, event_id = work.new_id(), work.new_id()
    identity = work.seal(
        recipient_id,
        RecipientRegistered,
        event_id,
        "identity",
        KeyScope(recipient_id, "identity", None, 1),
        {"name": body["name"], "address": body["address"]},
    )
    return work.made(Recipient.register(work.context, event_id, recipient_id, body["kind"], identity))


def _of_disclosure(work: UnitOfWork, ids: Ids) -> tuple[Subject, Case, Recipient]:
    subject = work.person(ids["subject_id"])
    terms = subject.disclosure(ids["disclosure_id"]).terms
    return subject, work.case(terms.case_id), work.recipient(terms.recipient_id)


def _content_fields(subject: Subject, case: Case, disclosure: Disclosure) -> list[tuple[str, SealedField]]:
    """Return the sealed parts of the listed categories only: the person's identity and the case's intakes, in order.

    Notes and tasks are the case manager's working papers: they are not part of any disclosure.
    """
    fields: list[tuple[str, SealedField]] = []
    if "identity" in disclosure.terms.categories and subject.identity is not None:
        fields.append(("identity", subject.identity))
    for intake in case.intakes.values():
        fields += [(name, part) for name, part in intake.parts.items() if name in disclosure.terms.categories]
    return fields


def _open_content(work: UnitOfWork, fields: list[tuple[str, SealedField]], disclosure: Disclosure) -> dict[str, Any]:
    """Return category to what the latest intake says; what earlier intakes say stands under ``earlier``."""
    opened: dict[str, list[dict[str, Any]]] = {category: [] for category in disclosure.terms.categories}
    values = work.open([field for _, field in fields])
    for (category, _), value in zip(fields, values, strict=True):
        if isinstance(value, Erased):
            raise RuleRefused(rules.SUBJECT_FENCED, disclosure_id=disclosure.id)
        opened[category].append(dict(value))
    content: dict[str, Any] = {}
    for category, (*earlier, latest) in ((c, v or [{}]) for c, v in opened.items()):
        content[category] = {**latest, "earlier": earlier} if earlier else latest
    return content
