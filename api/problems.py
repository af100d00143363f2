"""Every error as an RFC 9457 problem document that never carries what was sent.

``errors[].field`` is a dotted path. A name in it is shown only when it is a plain word (``[a-z_]``, at most 40), a list
index or one of our own header names; any other name came from the sender and stands as ``(unnamed)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException

from api import problem_types as types
from api.json_answers import json_response
from api.problem_types import ProblemType
from api.request_scope import request_id
from domain import errors, rules

CONTENT_TYPE = "application/problem+json"
WITHHELD = "(unnamed)"
_PLAIN = re.compile(r"[a-z_]{1,40}|\d{1,6}|Idempotency-Key")
_BY_ERROR: tuple[tuple[type[errors.CasekeeperError], ProblemType], ...] = (
    (errors.ConcurrencyConflict, types.CONCURRENCY_CONFLICT),
    (errors.StoreUnavailable, types.STORE_UNAVAILABLE),
    (errors.ViewsUnavailable, types.VIEWS_UNAVAILABLE),
    (errors.ViewBehind, types.VIEW_BEHIND),
    (errors.PositionMoved, types.VIEWS_UNAVAILABLE),
    (errors.LogUnavailable, types.LOG_UNAVAILABLE),
    (errors.KeysUnavailable, types.KEYS_UNAVAILABLE),
    (errors.NotFound, types.NOT_FOUND),
    (errors.IdempotencyKeyReused, types.IDEMPOTENCY_KEY_REUSED),
    (errors.EventTooLarge, types.RECORD_TOO_LARGE),
    (errors.Tampered, types.SEALED_VALUE_DAMAGED),
    (errors.KeyNeverExisted, types.SEALED_VALUE_DAMAGED),
    (errors.KeyringMismatch, types.KEYS_UNAVAILABLE),
)
_BY_STATUS = {
    404: types.NOT_FOUND,
    405: types.METHOD_NOT_ALLOWED,
    413: types.BODY_TOO_LARGE,
    415: types.UNSUPPORTED_MEDIA_TYPE,
}


@dataclass(frozen=True)
class Problem:
    """A problem document before it is written: its type, a sentence about this occurrence, and field errors."""

    type: ProblemType
    detail: str
    errors: Sequence[errors.FieldProblem] = ()
    headers: Mapping[str, str] | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of RFC 9457, section 3, with the extension member ``errors``."""
        return {
            "type": self.type.urn,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "instance": f"urn:uuid:{request_id()}",
            "errors": [{"field": shown(e.field), "problem": e.problem} for e in self.errors],
        }


def shown(path: str) -> str:
    """Return a dotted path with every name that might be data replaced."""
    return ".".join(part if _PLAIN.fullmatch(part) else WITHHELD for part in path.split("."))


def describe(error: Exception) -> Problem:
    """Return the problem that an exception is; one that nobody foresaw is an internal error without any text of it."""
    if isinstance(error, errors.CasekeeperError):
        return _ours(error)
    if isinstance(error, HTTPException):
        return _http(error)
    return Problem(types.INTERNAL_ERROR, "the request id tells the operator which call this was")


def answer(problem: Problem) -> Response:
    """Return the document as a response, with ``Retry-After`` and ``WWW-Authenticate`` where they belong."""
    response = json_response(problem.document(), problem.type.status, CONTENT_TYPE)
    response.headers.extend(problem.headers or {})
    if problem.type.retry_after is not None:
        response.headers["Retry-After"] = str(problem.type.retry_after)
    if problem.type.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="casekeeper"' + (
            "" if problem.type is types.TOKEN_MISSING else ', error="invalid_token"'
        )
    return response


def _ours(error: errors.CasekeeperError) -> Problem:
    if isinstance(error, errors.InvalidInput):
        kind = types.BY_SLUG.get(error.slug, types.INVALID_INPUT)
        return Problem(kind, "errors names each field and what is wrong with it", error.problems)
    if isinstance(error, errors.RuleRefused):
        rule = error.rule
        clause = f"policy clause {rule.clause}"
        return Problem(ProblemType(rule.slug, rule.status, rule.title), f"{rule.title} ({clause})")
    if isinstance(error, errors.Fenced):
        rule = rules.SUBJECT_FENCED
        return Problem(types.BY_SLUG[rule.slug], f"{rule.title} (policy clause {rule.clause})")
    if isinstance(error, errors.NotAuthenticated | errors.NotAllowed):
        return Problem(types.BY_SLUG.get(error.slug, types.NOT_ALLOWED), str(error))
    for kind_of_error, kind in _BY_ERROR:
        if isinstance(error, kind_of_error):
            return Problem(kind, str(error) if kind.status < 500 else kind.title)
    return Problem(types.INTERNAL_ERROR, "the request id tells the operator which call this was")


def _http(error: HTTPException) -> Problem:
    status = error.code or 500
    kind = _BY_STATUS.get(status) or (types.BAD_REQUEST if status < 500 else types.INTERNAL_ERROR)
    headers = {}
    if status == 405 and (allowed := getattr(error, "valid_methods", None)):
        headers["Allow"] = ", ".join(sorted(allowed))
    return Problem(kind, kind.title, headers=headers)


def wants_html() -> bool:
    """Return whether a browser asks for a page, which gets a page when something is wrong."""
    path = request.path
    if path.startswith(("/v1/", "/health/")) or path in ("/metrics", "/openapi.json"):
        return False
    return "text/html" in request.headers.get("Accept", "")
