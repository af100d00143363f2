"""How a resource module says what it answers: commands (writes) and queries (reads), documented where they stand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from flask import Response
from flask_smorest import Blueprint
from marshmallow import Schema

from api.auth import Pairs, authenticate
from api.body import check_media_type, read_body, receive
from api.json_answers import json_response
from api.request_scope import caller, idempotency_key, note_receipt, rooms
from api.shapes import Shape
from application.catalogue import OPERATIONS

Ids = Mapping[str, Any]
View = Callable[..., Response]
Answers = dict[int, tuple[Shape, Mapping[str, Any]] | None]
"""Status → shape and example of the answer, ``None`` for an answer without a body."""

WRITE_PROBLEMS = (400, 401, 403, 404, 409, 410, 411, 413, 415, 422, 429, 503)
READ_PROBLEMS = (400, 401, 403, 429, 503)
CHECKED_PROBLEMS = (400, 401, 403, 404, 411, 413, 415, 422, 429, 503)
"""Of a call that takes a body and changes nothing."""
IDEMPOTENCY_KEY: Shape = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Repeat a call with the same key and body within 24 hours and get the first answer; another body is "
    "409. Later, bodies can no longer be compared: 409 `done-long-ago`.",
}
IF_NONE_MATCH: Shape = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "The ETag of an earlier answer: 304 when nothing has changed.",
}
_DESCRIPTIONS = {200: "Done", 201: "Made and recorded", 202: "Accepted: it will happen", 304: "Not changed"}
PROBLEM_DESCRIPTIONS = {
    400: "Header, query or JSON malformed",
    401: "No valid token",
    403: "Role, purpose or person has not the right",
    404: "No such thing",
    409: "A rule refuses, or somebody else was first",
    410: "The person is erased, or being erased",
    411: "Body without a Content-Length",
    413: "Body too large",
    415: "Body is not application/json",
    422: "Body does not fit its schema",
    429: "Too many calls; see Retry-After",
    503: "Something this needs cannot be reached, or a view is behind; see Retry-After",
}


def command(
    blueprint: Blueprint,
    rule: str,
    operation: str,
    answer: Shape,
    example: Mapping[str, Any],
    *,
    find: Callable[..., Ids] = dict,
) -> None:
    """Register ``POST rule``, which executes an operation of the catalogue.

    ``find`` turns the identifiers of the path into those the operation takes.
    """
    made = OPERATIONS[operation]

    def view(**ids: Any) -> Response:
        key = idempotency_key()
        body = read_body()
        return execute(operation, find(**ids), body, key)

    view.__name__, view.__doc__ = operation, made.summary
    register = post(
        blueprint,
        rule,
        body=(made.schema, made.example),
        answers={made.status: (answer, example)},
        allowed=made.allowed,
        problems=WRITE_PROBLEMS,
        parameters=[IDEMPOTENCY_KEY],
    )
    register(view)


def post(
    blueprint: Blueprint,
    rule: str,
    *,
    body: tuple[type[Schema], Mapping[str, Any]],
    answers: Answers,
    allowed: Pairs,
    problems: Sequence[int],
    parameters: Sequence[Shape] = (),
) -> Callable[[View], View]:
    """Register a ``POST rule`` view, whose docstring is the summary; the caller is permitted before it runs.

    ``body``: its schema and an example.
    """

    def register(view: View) -> View:
        schema, example = body
        documented = blueprint.doc(
            **_texts(view, allowed),
            parameters=list(parameters),
            requestBody={
                "required": True,
                "content": {"application/json": {"schema": schema, "example": dict(example)}},
            },
            responses=_responses(answers, problems),
        )(_permitted(view, allowed, check_media_type, receive))
        blueprint.add_url_rule(rule, view.__name__, documented, methods=["POST"])
        return view

    return register


def query(
    blueprint: Blueprint,
    rule: str,
    *,
    answer: Shape,
    example: Mapping[str, Any],
    allowed: Pairs,
    parameters: Sequence[Shape] = (),
    missing: bool = False,
    tagged: bool = False,
    refusable: bool = False,
) -> Callable[[View], View]:
    """Register a ``GET rule`` view, whose docstring is the summary; the caller is permitted before it runs.

    ``missing`` says that 404 is possible, ``tagged`` that the answer has an ETag, ``refusable`` that a rule can refuse.
    """

    def register(view: View) -> View:
        answers: Answers = {200: (answer, example), **({304: None} if tagged else {})}
        documented = blueprint.doc(
            **_texts(view, allowed),
            parameters=[*parameters, *([IF_NONE_MATCH] if tagged else [])],
            responses=_responses(answers, READ_PROBLEMS + missing * (404,) + refusable * (409, 410)),
        )(_permitted(view, allowed))
        blueprint.add_url_rule(rule, view.__name__, documented, methods=["GET"])
        return view

    return register


def execute(operation: str, ids: Ids, body: Mapping[str, Any], key: str | None = None) -> Response:
    """Execute an operation for this request's caller and answer with its status and body."""
    answer = rooms().service.execute(operation, caller(), ids, body, key)
    note_receipt(answer.body["receipt"])
    return json_response(answer.body, answer.status)


def _permitted(view: View, allowed: Pairs, *first: Callable[[], None]) -> View:
    """Let a caller with the right in, do what comes ``first``, and only then take a place to work."""

    @wraps(view)
    def permitted(**ids: Any) -> Response:
        authenticate().actor(allowed)
        for step in first:
            step()
        with rooms().places.taken():
            return view(**ids)

    permitted.counts_calls = True  # type: ignore[attr-defined]
    return permitted


def _texts(view: View, allowed: Pairs) -> dict[str, str]:
    """Return summary and description: a view's docstring, first line and rest, and who may call it."""
    summary, _, rest = inspect.cleandoc(view.__doc__ or view.__name__).partition("\n")
    rights = "Allowed: " + ", ".join(f"{role} for {purpose}" for role, purpose in sorted(allowed)) + "."
    return {"summary": summary.rstrip("."), "description": " ".join([rights, *rest.split()])}


def _responses(answers: Answers, problems: Sequence[int]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, content in answers.items():
        responses[str(status)] = {"description": _DESCRIPTIONS[status]}
        if content is not None:
            shape, example = content
            responses[str(status)]["content"] = {"application/json": {"schema": shape, "example": dict(example)}}
    for status in sorted(problems):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return responses
