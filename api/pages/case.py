"""``/cases/{id}``: one case, with the consents and disclosures of the person it is about."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template

from api.case_view import opened_case
from api.ledgers import opened_disclosures
from api.pages.consent_strip import ORDER, Row, strip
from api.pages.formats import due_in
from api.pages.session import may, page, viewer
from api.pages.worklist import freshness
from api.reads import parameters
from api.request_scope import caller, rooms
from api.resources.consents import consent_rows
from application.permissions import READERS
from projections import recipients

blueprint = Blueprint("case", __name__)


@blueprint.get("/cases/<uuid:case_id>")
@page
def case_page(case_id: UUID) -> Response:
    """Show a case: what it is about, what may be disclosed, what was, what is to be done."""
    parameters()
    caller().actor(READERS["case"])
    fresh = freshness("case_page")
    case = opened_case(case_id)
    subject_id = UUID(case["subject_id"])
    now = rooms().service.clock()
    html = render_template(
        "case.html",
        viewer=viewer(),
        fresh=fresh,
        case=case,
        erased=_erased(case["identity"]),
        tasks=_by_need([{**task, "urgency": due_in(task["due"], now)} for task in case["tasks"]]),
        purposes=ORDER,
        strip=_strip(subject_id, now) if may(caller(), READERS["consents"]) else None,
        disclosures=opened_disclosures(subject_id)[::-1] if may(caller(), READERS["disclosures"]) else None,
    )
    return make_response(html)


def _strip(subject_id: UUID, now: datetime) -> list[Row]:
    consents = consent_rows(subject_id)
    named = dict.fromkeys(UUID(rid) for consent in consents for rid in consent["recipient_ids"])
    with rooms().views.cursor() as cursor:
        found = {str(rid): recipients.recipient(cursor, rid) or {} for rid in named}
    sealed = {rid: recipient.get("identity") for rid, recipient in found.items()}
    opened = rooms().service.reading.open(caller(), "consents", sealed, subject_ids=[subject_id])
    return strip(consents, found, opened, now)


def _by_need(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return open tasks first, the next due first."""
    return sorted(tasks, key=lambda task: (task["done_at"] is not None, task["due"] or "9999"))


def _erased(identity: Any) -> dict[str, str] | None:
    return identity.get("erased") if isinstance(identity, dict) else None
