"""Liveness and readiness: for supervisors, containers and ``casekeeper status``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response
from flask_smorest import Blueprint

from api.json_answers import json_response
from api.request_scope import Rooms, rooms
from domain.errors import CasekeeperError
from domain.vocabulary import VIEWS
from projections import health, view_health

blueprint = Blueprint("health", __name__, description="Whether the service works")


@blueprint.get("/health/live")
@blueprint.doc(summary="Tell that the process answers", security=[], responses={"200": {"description": "It does"}})
def live() -> Response:
    """Tell that the process answers."""
    return json_response({"live": True})


@blueprint.get("/health/ready")
@blueprint.doc(
    summary="Tell whether store, keys and views can be used",
    security=[],
    responses={
        "200": {"description": "Ready"},
        "503": {"description": "Not ready; `degraded` and `reasons` say what is wrong"},
    },
)
def ready() -> Response:
    """Tell whether store, keys and views can be used, and how far each view is."""
    report = readiness(rooms())
    return json_response(report, 200 if report["ready"] else 503)


def readiness(rooms: Rooms) -> dict[str, Any]:
    """Return ``{"ready", "degraded": [words], "reasons": {word: why}, "views": [{"name", "position", "lag", …}]}``.

    Ready means that store, keys and views can be used and that writes are admitted; a part of the workers that is not
    well, such as the relay without Kafka, is named but does not make the API unready. Why: an error's class, as
    ``LogUnavailable`` where Kafka is away; or what state the part is in, ``silent`` when no worker speaks for it and
    ``stuck`` for a view that does not move; or, of what an operator has to do first, a few words.
    Each view is a ``ViewHealth`` of :mod:`projections.view_health`, with how many streams it has ``parked`` and
    ``discarded``.
    """
    needed: dict[str, str] = {}
    head = _checked("store", lambda: _admitted_head(rooms, needed), needed)
    _checked("keys", rooms.service.vault.health, needed)
    views = _checked("views", lambda: _views(rooms, head, needed), needed) or []
    unwell = _checked("views", lambda: _unwell(rooms), needed) or {}
    stuck = {view["name"]: "stuck" for view in views if view["state"] == "stuck"}
    reasons = dict(sorted({**stuck, **unwell, **needed}.items()))
    return {"ready": not needed, "degraded": list(reasons), "reasons": reasons, "views": views}


def _admitted_head(rooms: Rooms, needed: dict[str, str]) -> int:
    admission = rooms.service.log.admission()
    if not admission.admitted:
        needed["store-not-admitted"] = "not compared with the topic"
    return admission.head


def _views(rooms: Rooms, head: int | None, needed: dict[str, str]) -> list[dict[str, Any]]:
    with rooms.views.cursor() as cursor:
        found = view_health.views(cursor, head)
    if len(found) < len(VIEWS):
        needed["views-not-built"] = "no worker has made them"
    return [
        {
            "name": view.name,
            "position": view.position,
            "lag": view.lag,
            "state": view.state,
            "parked": view.parked_streams,
            "discarded": view.discarded_streams,
        }
        for view in found
    ]


def _unwell(rooms: Rooms) -> dict[str, str]:
    with rooms.views.cursor() as cursor:
        return {part.part: _why(part) for part in health.parts(cursor) if not part.well}


def _why(part: health.PartHealth) -> str:
    return (part.detail_code or part.state) if part.fresh else "silent"


def _checked(name: str, check: Callable[[], Any], needed: dict[str, str]) -> Any:
    try:
        return check()
    except CasekeeperError as error:
        needed[name] = type(error).__name__
        return None
