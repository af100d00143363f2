"""Finding people by who they are. What is looked for comes in a body, because nothing personal goes into a URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.body import read_body
from api.endpoints import post
from api.json_answers import json_response
from api.reads import AFTER, PAGING, paging, parameters, wait_for_view
from api.request_scope import caller, rooms
from api.sample import ID, IDENTITY, TIME
from api.shapes import IDENTIFIER, INSTANT, TEXT, nullable, page, thing
from application.permissions import READERS
from application.schemas.loading import load
from application.schemas.people import SearchSchema
from domain.errors import ViewsUnavailable
from domain.search_terms import matches, term
from projections.paging import LIMIT, Page, page_of
from projections.search_index import candidates, current_epoch
from vault.blind_index import index_key, tags

blueprint = Blueprint("search", __name__, description="Finding people")

SHOWN = ("given_name", "family_name", "birth_date")
"""What is shown of whoever is found: enough to tell two people apart and to choose one."""
_ATTEMPTS = 3
_PROBLEMS = (400, 401, 403, 411, 413, 415, 422, 429, 503)
_FOUND = thing(id=IDENTIFIER, registered_at=INSTANT, identity=thing(**{name: nullable(TEXT) for name in SHOWN}))
_EXAMPLE = {"id": ID, "registered_at": TIME, "identity": {name: IDENTITY[name] for name in SHOWN}}


@post(
    blueprint,
    "/v1/subjects/search",
    body=(SearchSchema, {"family_name": "Example", "birth_date": "1970-02-03"}),
    answers={200: (page(_FOUND), {"items": [_EXAMPLE], "next": None})},
    allowed=READERS["search"],
    problems=_PROBLEMS,
    parameters=[AFTER, *PAGING],
)
def search_subjects() -> Response:
    """Find people.

    By names, date of birth, e-mail address, telephone number or the number an insurer knows them under. All that is
    given must match, whatever the spelling of case, accents and punctuation; one of the last three is needed, or two
    fields. People who are erased, or being erased, are not found. Who was found is recorded, what was looked for is
    not. Newest first.
    """
    given = parameters("after", "limit", "cursor")
    asked = load(SearchSchema, read_body())
    bounds = paging(given)
    wait_for_view("search_index", given)
    rows: dict[UUID, dict[str, Any]] = {}
    people = _people(asked, rows, **bounds)
    found, more = rooms().service.reading.find(caller(), "search", people, partial(matches, asked), bounds["limit"])
    items = [_shown(rows[subject_id], identity) for subject_id, identity in found.items()]
    # The next page starts after the last person who is shown: a cursor tells of nobody else.
    shown = page_of([*items, *items[-1:]] if more else items, bounds["limit"], "registered_at")
    return json_response({"items": shown.items, "next": shown.next})


def _people(
    asked: Mapping[str, str], rows: dict[UUID, dict[str, Any]], limit: int, start: str | None
) -> Iterator[dict[UUID, list[Any]]]:
    """Yield, batch by batch, people who may be the ones: id → sealed identity and insurances; note their rows."""
    while True:
        found = _candidates(asked, min(limit + 1, LIMIT), start)
        rows |= {UUID(item["id"]): item for item in found.items}
        yield {UUID(item["id"]): [item["identity"], *item["insurances"]] for item in found.items}
        if found.next is None:
            return
        start = found.next


def _candidates(asked: Mapping[str, str], limit: int, start: str | None) -> Page:
    """Return a page of people who have the tags of what is asked for.

    The key may be replaced meanwhile. It is destroyed only after its epoch was retired; so an epoch that is in force
    still when its tags are looked for was searched with its own key. Raises ``ViewsUnavailable``, ``KeysUnavailable``.
    """
    terms = {field: term(field, value) for field, value in asked.items()}
    for _ in range(_ATTEMPTS):
        with rooms().views.cursor() as cursor:
            epoch = current_epoch(cursor)
        if epoch is None:
            return Page([], None)
        wanted = tags(index_key(rooms().service.vault, epoch), terms)
        with rooms().views.cursor() as cursor:
            if current_epoch(cursor) == epoch:
                return candidates(cursor, epoch, wanted, limit, start)
    raise ViewsUnavailable("the index key was replaced again and again")


def _shown(item: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: identity.get(name) for name in SHOWN}
    return {"id": item["id"], "registered_at": item["made_at"], "identity": shown}
