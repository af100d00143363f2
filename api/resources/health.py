"""Liveness and readiness: for supervisors, containers and ``casekeeper status``."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from api.json_answers import json_response
from api.request_scope import rooms

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
    report = rooms().readiness.report()
    return json_response(report, 200 if report["ready"] else 503)
