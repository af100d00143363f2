"""What every read needs: its query parameters, and waiting until a view has what the caller knows is there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from flask import request

from api.request_scope import rooms
from api.shapes import Shape
from domain.errors import FieldProblem, InvalidInput, NotFound
from domain.registry import ACTOR_ID
from projections.paging import LIMIT, start_of

T = TypeVar("T")

AFTER: Shape = {
    "in": "query",
    "name": "after",
    "schema": {"type": "integer", "minimum": 0},
    "description": "Wait, bounded, until the view has the event at this position; 503 `view-behind` when it has not.",
}
PAGING: tuple[Shape, ...] = (
    {"in": "query", "name": "limit", "schema": {"type": "integer", "minimum": 1, "maximum": LIMIT, "default": 50}},
    {"in": "query", "name": "cursor", "schema": {"type": "string"}, "description": "The `next` of the page before."},
)


def word_parameter(name: str, words: Collection[str]) -> Shape:
    """Return the documentation of a query parameter that takes one word of a closed list."""
    return {"in": "query", "name": name, "schema": {"type": "string", "enum": sorted(words)}}


def actor_parameter(name: str) -> Shape:
    """Return the documentation of a query parameter that names an actor."""
    return {"in": "query", "name": name, "schema": dict(ACTOR_ID.schema)}


def parameters(*known: str) -> Mapping[str, str]:
    """Return the query parameters. Raises :class:`InvalidInput` on one that is unknown or comes twice."""
    given = request.args
    if not given.keys() <= set(known):
        listed = ", ".join(known)
        raise _invalid("query", f"has an unknown parameter; known here: {listed}" if listed else "takes no parameters")
    for name in known:
        if len(given.getlist(name)) > 1:
            raise _invalid(name, "comes more than once")
    return given.to_dict()


def paging(given: Mapping[str, str]) -> dict[str, Any]:
    """Return ``limit`` and ``start`` for a view's list query. Raises :class:`InvalidInput`."""
    limit, cursor = _number("limit", given.get("limit", "50")), given.get("cursor")
    if not 1 <= limit <= LIMIT:
        raise _invalid("limit", f"must be from 1 to {LIMIT}")
    try:
        start_of(cursor)
    except InvalidInput:
        raise _invalid("cursor", "is not a cursor of this list") from None
    return {"limit": limit, "start": cursor}


def word(given: Mapping[str, str], name: str, words: Collection[str]) -> str | None:
    """Return a parameter that must be one of some words. Raises :class:`InvalidInput`."""
    value = given.get(name)
    if value is not None and value not in words:
        raise _invalid(name, "must be one of " + ", ".join(sorted(words)))
    return value


def actor(given: Mapping[str, str], name: str) -> str | None:
    """Return a parameter that names an actor. Raises :class:`InvalidInput`."""
    value = given.get(name)
    if value is not None and not ACTOR_ID.conforms(value):
        raise _invalid(name, "must be an opaque identifier of letters, digits and _.:-")
    return value


def wait_for_view(view: str, given: Mapping[str, str]) -> None:
    """Wait until a view has the position of ``after``. Raises ``ViewBehind``; ``InvalidInput`` past the log's end."""
    if "after" not in given:
        return
    position = _number("after", given["after"])
    if rooms().views.positions().get(view, 0) >= position:
        return
    if position > rooms().service.log.head():
        raise _invalid("after", "is past the end of the log")
    rooms().waits.until(view, position)


def find(view: str, kind: str, look: Callable[[], T | None]) -> T:
    """Return what ``look`` finds in a view; when it finds nothing, look once more after the view has caught up.

    So a thing that was just made is found by whoever knows its id. Raises :class:`NotFound`, ``ViewBehind``.
    """
    found = look()
    if found is None:
        rooms().waits.until(view, rooms().service.log.head())
        found = look()
    if found is None:
        raise NotFound(kind)
    return found


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _invalid(name, "must be a whole number, not negative")
    return int(text)


def _invalid(field: str, problem: str) -> InvalidInput:
    return InvalidInput([FieldProblem(field, problem)], slug="invalid-query")
