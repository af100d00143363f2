"""The Flask application: rooms in, resources and pages registered, every error a problem document."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from api import pages, resources
from api.admission import MOST_DISCARDED_AT_ONCE, MOST_SIGNINS, Places, ViewWaits, requests_at_once
from api.body import MAX_BODY_BYTES, check_framing, discard
from api.dev_tokens import token_reader
from api.metrics import HttpMetrics
from api.openapi import document
from api.problems import answer, describe, wants_html, with_headers
from api.rate_limits import RateLimits
from api.readiness import Readiness
from api.request_scope import Rooms, begin, method_and_route, peer, request_id, rooms
from api.slow_bodies import Bodies
from application.problems import ProblemType

if TYPE_CHECKING:
    from application.service import Service
    from application.settings import Settings
    from projections.views import Views

Replay = Callable[..., dict[str, Any]]

log = structlog.get_logger("api")

_CSP_JSON = "default-src 'none'; frame-ancestors 'none'"
_CSP_PAGES = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "script-src 'none'; img-src 'self' data:"
)

_UNCOUNTED = frozenset({"health.live", "health.ready", "metrics", "static"})

VIEW_WAIT_SECONDS = 5.0
"""Longest that a read waits for its view."""


class _App(Flask):
    """Flask without a look at each call whether a view is a coroutine: none is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func


def create_app(
    settings: Settings,
    service: Service,
    views: Views,
    replay: Replay | None,
    *,
    view_wait: float = VIEW_WAIT_SECONDS,
) -> Flask:
    """Return the application. ``replay`` answers ``POST /v1/audit/replays``; without it that is 404.

    Raises ``ValueError`` when the issuers' file is malformed, ``SettingInvalid``,
    ``KeysUnavailable`` when the keyring cannot be reached.
    """
    at_once = requests_at_once(settings)
    app = _App("casekeeper", static_folder=pages.STATIC, static_url_path="/static", template_folder=pages.TEMPLATES)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.extensions["casekeeper"] = Rooms(
        settings=settings,
        service=service,
        views=views,
        replay=replay,
        tokens=token_reader(settings, service.vault),
        form_secret=service.vault.secret("form-token"),
        rates=RateLimits(settings),
        places=Places(at_once),
        waits=ViewWaits(views, view_wait, max(1, at_once // 2)),
        bodies=Bodies(),
        signins=Bodies(MOST_SIGNINS),
        discarded=Bodies(MOST_DISCARDED_AT_ONCE),
        readiness=Readiness(service, views),
    )
    metrics = HttpMetrics(service, views)
    app.before_request(begin)
    app.before_request(check_framing)
    app.before_request(_count_anonymous)
    app.after_request(_headers)
    app.after_request(metrics.observe)
    app.after_request(_logged)
    app.register_error_handler(Exception, _failed)
    api = document(app)
    resources.register(app, api, metrics)
    pages.register(app)
    metrics.know_routes(app)
    return app


def _failed(error: Exception) -> Response:
    """Answer an exception; one that nobody foresaw is logged by class and place, never by its text."""
    problem = describe(error)
    if problem.type.status >= 500 and not isinstance(error, HTTPException):
        log.error("request failed", request_id=str(request_id()), code=problem.type.slug, error=error)
    g.problem = problem.type
    discard()
    response = pages.failure(problem) if wants_html() else answer(problem)
    return with_headers(response, problem.type, error)


def _count_anonymous() -> None:
    """Count a call against its address, unless it is for health or its view counts the caller (``counts_calls``)."""
    view = current_app.view_functions.get(request.endpoint or "")
    if request.endpoint not in _UNCOUNTED and not getattr(view, "counts_calls", False):
        rooms().rates.peer(peer())


def _headers(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = str(request_id())
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    page = response.mimetype in ("text/html", "text/css")
    headers["Content-Security-Policy"] = _CSP_PAGES if page else _CSP_JSON
    if request.endpoint != "static":
        headers["Cache-Control"] = "no-store"
    return response


def _logged(response: Response) -> Response:
    problem: ProblemType | None = g.get("problem")
    method, route = method_and_route()
    log.info(
        "request",
        request_id=str(request_id()),
        method=method,
        route=route,
        status=response.status_code,
        code=problem.slug if problem else None,
        duration_ms=round((time.perf_counter() - g.started) * 1000, 1),
        **g.get("recorded", {}),
    )
    return response
