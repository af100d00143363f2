"""What belongs to one request: its id, its caller, its start, and the rooms behind HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from flask import current_app, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from application import metrics
from domain.errors import FieldProblem, InvalidInput

if TYPE_CHECKING:
    from api.admission import Places, ViewWaits
    from api.rate_limits import RateLimits
    from api.readiness import Readiness
    from api.slow_bodies import Bodies
    from api.tokens import TokenReader
    from application.caller import Caller
    from application.service import Service
    from application.settings import Settings
    from projections.views import Views

MAX_IDEMPOTENCY_KEY = 200
"""Longest ``Idempotency-Key``, in characters."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Rooms:
    """What the resources work with, made once per process."""

    settings: Settings
    service: Service
    views: Views
    replay: Callable[..., dict[str, Any]] | None
    tokens: TokenReader
    form_secret: bytes
    rates: RateLimits
    places: Places
    waits: ViewWaits
    bodies: Bodies
    signins: Bodies
    discarded: Bodies
    readiness: Readiness


def rooms() -> Rooms:
    """Return the rooms of the application that serves this request."""
    found: Rooms = current_app.extensions["casekeeper"]
    return found


def begin() -> None:
    """Take the sender's request id when it is a UUID, else make one; note the time."""
    sent = request.headers.get("X-Request-Id", "")
    g.request_id = UUID(sent) if _UUID.fullmatch(sent) else uuid4()
    g.started = time.perf_counter()
    # So that every line of this thread names the request until the next one begins.
    clear_contextvars()
    bind_contextvars(request_id=str(g.request_id))


def request_id() -> UUID:
    """Return the id of this request, also its correlation id in events."""
    found: UUID = g.request_id
    return found


def note_receipt(receipt: Mapping[str, Any]) -> None:
    """Keep what was recorded for this request's line in the log: how many events, the last one's id and position."""
    ids = receipt["event_ids"]
    g.recorded = {"event_id": ids[-1] if ids else None, "count": len(ids), "position": receipt["position"]}


def method_and_route() -> tuple[str, str]:
    """Return the request's method and its route's template, as logs and metrics name them: never an id or a name."""
    return metrics.METHOD.known(request.method), request.url_rule.rule if request.url_rule else "unmatched"


def peer() -> str:
    """Return the address the request comes from: of the proxy, where there is one."""
    return request.environ.get("REMOTE_ADDR", "")


def caller() -> Caller:
    """Return who calls; only after the endpoint has authenticated."""
    found: Caller = g.caller
    return found


def idempotency_key() -> str | None:
    """Return the ``Idempotency-Key`` header. Raises :class:`InvalidInput` unless printable ASCII, 1 to 200 long."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY or not (key.isascii() and key.isprintable()):
        problem = FieldProblem("Idempotency-Key", f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters")
        raise InvalidInput([problem], slug="invalid-header")
    return key
