"""Every error of HTTP as an RFC 9457 problem document (``application.problems``) or, for browsers, as a page."""

from __future__ import annotations

from flask import Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from api.json_answers import json_response
from api.rate_limits import RateLimited
from api.request_scope import request_id
from application import problems

CONTENT_TYPE = "application/problem+json"
_BY_STATUS = {
    404: problems.NOT_FOUND,
    405: problems.METHOD_NOT_ALLOWED,
    411: problems.LENGTH_REQUIRED,
    413: problems.BODY_TOO_LARGE,
    415: problems.UNSUPPORTED_MEDIA_TYPE,
    429: problems.RATE_LIMITED,
    503: problems.BUSY,
}


def describe(error: Exception) -> problems.Problem:
    """Return the problem that an exception is, also one of HTTP itself."""
    if not isinstance(error, HTTPException):
        return problems.describe(error)
    status = error.code or 500
    kind = _BY_STATUS.get(status) or (problems.BAD_REQUEST if status < 500 else problems.INTERNAL_ERROR)
    return problems.Problem(kind, kind.title)


def answer(problem: problems.Problem) -> Response:
    """Return the document as a response."""
    return json_response(problem.document(request_id()), problem.type.status, CONTENT_TYPE)


def with_headers(response: Response, kind: problems.ProblemType, error: Exception) -> Response:
    """Return the response with what belongs to it of Retry-After, RateLimit, WWW-Authenticate and Allow."""
    if kind.retry_after is not None:
        response.headers["Retry-After"] = str(kind.retry_after)
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after)
        response.headers["RateLimit-Policy"] = error.limit.policy
        response.headers["RateLimit"] = f'"{error.limit.name}";r=0;t={error.retry_after}'
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="casekeeper"' + (
            "" if kind is problems.TOKEN_MISSING else ', error="invalid_token"'
        )
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def wants_html() -> bool:
    """Return whether a browser asks for a page, which gets a page when something is wrong."""
    path = request.path
    if path.startswith(("/v1/", "/health/")) or path in ("/metrics", "/openapi.json"):
        return False
    return "text/html" in request.headers.get("Accept", "")
