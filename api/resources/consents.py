"""The consent ledger of a person: record an answer, withdraw it, list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.endpoints import command, query
from api.json_answers import json_response
from api.ledgers import check_person
from api.reads import AFTER, parameters, wait_for_view
from api.request_scope import caller, rooms
from api.sample import ID, LATER, MADE, THIRD_ID, TIME, done
from api.shapes import IDENTIFIER, INSTANT, TEXT, listed, nullable, one_of, page, ref, thing
from application.permissions import READERS
from domain import vocabulary
from projections import consents

blueprint = Blueprint("consents", __name__, description="What a person was asked and answered")

CONSENT_STATES = frozenset({"asked", "granted", "refused", "withdrawn", "expired"})
_CONSENT = thing(
    id=IDENTIFIER,
    purpose=one_of(vocabulary.PURPOSES),
    recipient_ids=listed(IDENTIFIER),
    categories=listed(one_of(vocabulary.CATEGORIES)),
    policy_version=TEXT,
    language=TEXT,
    method=one_of(vocabulary.METHODS),
    state=one_of(CONSENT_STATES),
    valid_until=nullable(INSTANT),
    granted_at=nullable(INSTANT),
    withdrawn_at=nullable(INSTANT),
)
_EXAMPLE = {
    "id": ID,
    "purpose": "treatment",
    "recipient_ids": [THIRD_ID],
    "categories": ["identity", "medical"],
    "policy_version": "1",
    "language": "en",
    "method": "web_form",
    "state": "granted",
    "valid_until": LATER,
    "granted_at": TIME,
    "withdrawn_at": None,
}
_PATH = "/v1/subjects/<uuid:subject_id>/consents"
_WITHDRAWN = thing(id=IDENTIFIER, state=TEXT, receipt=ref("Receipt"))

command(blueprint, _PATH, "grant_consent", ref("Made"), MADE)
command(blueprint, f"{_PATH}/<uuid:consent_id>/withdrawal", "withdraw_consent", _WITHDRAWN, done(state="withdrawn"))


@query(
    blueprint,
    _PATH,
    answer=page(_CONSENT),
    example={"items": [_EXAMPLE], "next": None},
    allowed=READERS["consents"],
    parameters=[AFTER],
    missing=True,
)
def list_consents(subject_id: UUID) -> Response:
    """List a person's consents.

    In the order they were first recorded, with their states as they are now.
    """
    wait_for_view("consents", parameters("after"))
    items = consent_rows(subject_id)
    check_person(subject_id, items)
    rooms().service.reading.open(caller(), "consents", {}, subject_ids=[subject_id])
    return json_response({"items": items, "next": None})


def consent_rows(subject_id: UUID) -> list[dict[str, Any]]:
    """Return a person's consents as they are now; nothing in them is sealed."""
    with rooms().views.cursor() as cursor:
        return consents.consents_of(cursor, subject_id, rooms().service.clock())
