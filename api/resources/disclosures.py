"""Disclosures in two steps, and their accounting (45 CFR 164.528, GDPR Art. 15(1)(c))."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.endpoints import command, query
from api.json_answers import json_response
from api.ledgers import opened_disclosures
from api.reads import AFTER, parameters, wait_for_view
from api.sample import ID, IDENTITY, MADE, OTHER_ID, THIRD_ID, TIME, done
from api.shapes import IDENTIFIER, INSTANT, TEXT, Shape, listed, nullable, one_of, opened, page, ref, thing
from application.permissions import READERS
from domain import vocabulary

blueprint = Blueprint("disclosures", __name__, description="What was disclosed to whom, on what basis")

DISCLOSURE_STATES = frozenset({"requested", "authorized", "denied", "released", "cancelled"})
_RECIPIENT: Shape = {"type": "object", "properties": {"name": TEXT, "address": {}}, "required": ["name"]}
_DISCLOSURE = thing(
    id=IDENTIFIER,
    case_id=IDENTIFIER,
    recipient_id=IDENTIFIER,
    recipient=opened(_RECIPIENT),
    purpose=one_of(vocabulary.PURPOSES),
    categories=listed(one_of(vocabulary.CATEGORIES)),
    basis=thing(type=one_of(vocabulary.BASIS_TYPES), id=IDENTIFIER),
    state=one_of(DISCLOSURE_STATES),
    requested_at=INSTANT,
    requested_by=TEXT,
    authorized_at=nullable(INSTANT),
    authorized_by=nullable(TEXT),
    released_at=nullable(INSTANT),
)
_EXAMPLE = {
    "id": ID,
    "case_id": OTHER_ID,
    "recipient_id": THIRD_ID,
    "recipient": {"name": "Example Clinic", "address": "2 Sample Street, Sampleton"},
    "purpose": "treatment",
    "categories": ["identity", "medical"],
    "basis": {"type": "consent", "id": THIRD_ID},
    "state": "requested",
    "requested_at": TIME,
    "requested_by": "a1",
    "authorized_at": None,
    "authorized_by": None,
    "released_at": None,
}
_PATH = "/v1/subjects/<uuid:subject_id>/disclosures"
_ONE = f"{_PATH}/<uuid:disclosure_id>"
_MOVED = thing(id=IDENTIFIER, state=one_of(DISCLOSURE_STATES), receipt=ref("Receipt"))
_RELEASED = thing(id=IDENTIFIER, state=TEXT, content={"type": "object"}, receipt=ref("Receipt"))

command(blueprint, _PATH, "request_disclosure", ref("Made"), MADE)
command(blueprint, f"{_ONE}/authorization", "authorize_disclosure", _MOVED, done(state="authorized"))
command(blueprint, f"{_ONE}/denial", "deny_disclosure", _MOVED, done(state="denied"))
command(blueprint, f"{_ONE}/cancellation", "cancel_disclosure", _MOVED, done(state="cancelled"))
command(
    blueprint,
    f"{_ONE}/release",
    "release_disclosure",
    _RELEASED,
    done(state="released", content={"identity": IDENTITY}),
)


@query(
    blueprint,
    _PATH,
    answer=page(_DISCLOSURE),
    example={"items": [_EXAMPLE], "next": None},
    allowed=READERS["disclosures"],
    parameters=[AFTER],
    missing=True,
)
def list_disclosures(subject_id: UUID) -> Response:
    """List a person's disclosures.

    The accounting of disclosures, in the order they were asked for.
    """
    wait_for_view("disclosures", parameters("after"))
    return json_response({"items": opened_disclosures(subject_id), "next": None})
