"""The versions of the privacy policy, the one in force marked."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from api.auth import ANYONE
from api.endpoints import query
from api.json_answers import json_response
from api.reads import parameters
from api.request_scope import rooms
from api.sample import TIME
from api.shapes import FLAG, INSTANT, TEXT, page, thing
from domain.instants import instant

blueprint = Blueprint("policies", __name__, description="The privacy policy, as data")


@query(
    blueprint,
    "/v1/policies",
    answer=page(thing(version=TEXT, in_force=FLAG, effective_from=INSTANT)),
    example={"items": [{"version": "1", "in_force": True, "effective_from": TIME}], "next": None},
    allowed=ANYONE,
)
def list_policies() -> Response:
    """List the policy's versions.

    Oldest first.
    """
    parameters()
    policies = rooms().service.policies
    current = policies.in_force(rooms().service.clock()).version
    items = [
        {"version": p.version, "in_force": p.version == current, "effective_from": instant(p.effective_from)}
        for p in policies.all()
    ]
    return json_response({"items": items, "next": None})
