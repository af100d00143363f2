"""The resources of ``/v1`` and the endpoints of operations, one module each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.resources import (
    agreements,
    audit,
    cases,
    certificates,
    consents,
    disclosures,
    health,
    holds,
    inbox,
    policies,
    requests,
    search,
    subjects,
)

if TYPE_CHECKING:
    from flask import Flask
    from flask_smorest import Api

    from api.metrics import HttpMetrics

_DOCUMENTED = (
    subjects,
    search,
    cases,
    consents,
    disclosures,
    requests,
    certificates,
    holds,
    agreements,
    policies,
    audit,
    inbox,
    health,
)


def register(app: Flask, api: Api, metrics: HttpMetrics) -> None:
    """Register every resource, and ``GET /metrics``."""
    for module in _DOCUMENTED:
        api.register_blueprint(module.blueprint)
    app.add_url_rule("/metrics", "metrics", metrics.page, methods=["GET"])
