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
from projections import health

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
    responses={"200": {"description": "Ready"}, "503": {"description": "Not ready; `degraded` says what is wrong"}},
)
def ready() -> Response:
    """Tell whether store, keys and views can be used, and how far each view is."""
    report = readiness(rooms())
    return json_response(report, 200 if report["ready"] else 503)


def readiness(rooms: Rooms) -> dict[str, Any]:
    """Return ``{"ready", "degraded": [words], "views": [{"name", "position", "lag"}]}``.

    Ready means that store, keys and views can be used and that writes are admitted; a part of the workers that is not
    well, such as the relay without Kafka, is named but does not make the API unready.
    """
    needed: list[str] = []
    head = _checked("store", lambda: _admitted_head(rooms, needed), needed)
    _checked("keys", rooms.service.vault.health, needed)
    positions = _checked("views", lambda: _positions(rooms, needed), needed) or {}
    degraded = _checked("views", lambda: _unwell(rooms), needed) or []
    views = [
        {"name": name, "position": position, "lag": max(0, (head or 0) - position)}
        for name, position in sorted(positions.items())
    ]
    return {"ready": not needed, "degraded": sorted({*needed, *degraded}), "views": views}


def _admitted_head(rooms: Rooms, needed: list[str]) -> int:
    admission = rooms.service.log.admission()
    if not admission.admitted:
        needed.append("store-not-admitted")
    return admission.head


def _positions(rooms: Rooms, needed: list[str]) -> dict[str, int]:
    positions = {name: at for name, at in rooms.views.positions().items() if name in VIEWS}
    if not positions.keys() >= VIEWS:
        needed.append("views-not-built")
    return positions


def _unwell(rooms: Rooms) -> list[str]:
    with rooms.views.cursor() as cursor:
        return [part.part for part in health.parts(cursor) if not part.well]


def _checked(name: str, check: Callable[[], Any], needed: list[str]) -> Any:
    try:
        return check()
    except CasekeeperError:
        needed.append(name)
        return None
