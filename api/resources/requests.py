"""People's requests about their data: received, verified, decided; erasures previewed, approved, certified."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.endpoints import command, execute, query
from api.json_answers import json_response
from api.reads import AFTER, PAGING, find, paging, parameters, wait_for_view, word, word_parameter
from api.request_scope import caller, rooms
from api.resources.erasure_shapes import PREVIEW, PREVIEW_EXAMPLE
from api.sample import ID, LATER, RECEIPT, THIRD_ID, TIME, done
from api.shapes import IDENTIFIER, INSTANT, one_of, page, ref, thing
from application.catalogue import OPERATIONS
from application.permissions import READERS
from domain import vocabulary
from projections import requests as view

blueprint = Blueprint("requests", __name__, description="What people ask about their data, and erasure")

REQUEST_STATES = frozenset(
    {
        "received",
        "verified",
        "refused",
        "previewed",
        "approved",
        "withheld",
        "fenced",
        "drained",
        "destroyed",
        "certified",
    }
)
_REQUEST = thing(
    id=IDENTIFIER,
    subject_id=IDENTIFIER,
    right=one_of(vocabulary.RIGHTS),
    state=one_of(REQUEST_STATES),
    received_at=INSTANT,
    due=INSTANT,
    channel=one_of(vocabulary.CHANNELS),
)
_EXAMPLE = {
    "id": ID,
    "subject_id": THIRD_ID,
    "right": "erasure",
    "state": "received",
    "received_at": TIME,
    "due": LATER,
    "channel": "web",
}
_MOVED = thing(id=IDENTIFIER, state=one_of(REQUEST_STATES), receipt=ref("Receipt"))
_DATED = thing(id=IDENTIFIER, due=INSTANT, receipt=ref("Receipt"))
_ONE = "/v1/requests/<uuid:request_id>"


def with_person(request_id: UUID) -> dict[str, Any]:
    """Return a request's id with that of the person who made it. Raises ``NotFound``, ``ViewBehind``."""

    def look() -> UUID | None:
        with rooms().views.cursor() as cursor:
            return view.subject_of(cursor, request_id)

    return {"request_id": request_id, "subject_id": find("requests", "request", look)}


command(
    blueprint,
    "/v1/subjects/<uuid:subject_id>/requests",
    "receive_request",
    _DATED,
    {"id": ID, "due": LATER, "receipt": RECEIPT},
)
for step, operation, shape, example in (
    ("verification", "verify_requester", _MOVED, done(state="verified")),
    ("approval", "approve_erasure", _MOVED, done(state="approved")),
    ("refusal", "refuse_request", _MOVED, done(state="refused")),
    ("extension", "extend_request", _DATED, done(due=LATER)),
):
    command(blueprint, f"{_ONE}/{step}", operation, shape, example, find=with_person)


@query(
    blueprint,
    "/v1/requests",
    answer=page(_REQUEST),
    example={"items": [_EXAMPLE], "next": None},
    allowed=READERS["requests"],
    parameters=[
        AFTER,
        word_parameter("state", REQUEST_STATES),
        word_parameter("right", vocabulary.RIGHTS),
        *PAGING,
    ],
)
def list_requests() -> Response:
    """List people's requests.

    Newest first.
    """
    given = parameters("after", "state", "right", "limit", "cursor")
    filters: dict[str, Any] = {
        "state": word(given, "state", REQUEST_STATES),
        "right": word(given, "right", vocabulary.RIGHTS),
    }
    bounds = paging(given)
    wait_for_view("requests", given)
    with rooms().views.cursor() as cursor:
        found = view.requests(cursor, **filters, **bounds)
    subjects = [UUID(item["subject_id"]) for item in found.items]
    rooms().service.reading.open(caller(), "requests", {}, subject_ids=subjects)
    return json_response({"items": found.items, "next": found.next})


@query(
    blueprint,
    f"{_ONE}/preview",
    answer=PREVIEW,
    example=PREVIEW_EXAMPLE,
    allowed=OPERATIONS["preview_erasure"].allowed,
    parameters=[AFTER],
    missing=True,
    refusable=True,
)
def preview_erasure(request_id: UUID) -> Response:
    """Preview an erasure.

    Shows what it would erase, what it would withhold and on what ground, and what is already gone; that it was shown
    is recorded.
    """
    wait_for_view("requests", parameters("after"))
    return execute("preview_erasure", with_person(request_id), {})
