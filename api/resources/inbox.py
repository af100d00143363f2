"""The public key that messages to the inbox are encrypted to (RFC 7517). It is public: no token is needed."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from api.json_answers import json_response
from api.request_scope import rooms
from api.shapes import TEXT, thing
from application.inbox_keys import CLIENT_CACHE, current_jwk

blueprint = Blueprint("inbox", __name__, description="What a publishing service needs to write to the Kafka inbox")

_JWK = thing(kty=TEXT, crv=TEXT, x=TEXT, kid=TEXT, use=TEXT, alg=TEXT)
_EXAMPLE = {
    "kty": "OKP",
    "crv": "X25519",
    "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
    "kid": "20260301093000-1f2e3d4c",
    "use": "enc",
    "alg": "ECDH-ES+A256KW",
}


@blueprint.get("/v1/inbox-key")
@blueprint.doc(
    summary="Show the inbox's current public key",
    description=f"A publisher may keep it for {int(CLIENT_CACHE.total_seconds())} seconds.",
    security=[],
    responses={
        "200": {"description": "The key", "content": {"application/json": {"schema": _JWK, "example": _EXAMPLE}}},
        "429": {"$ref": "#/components/responses/Problem429"},
        "503": {"$ref": "#/components/responses/Problem503"},
    },
)
def inbox_key() -> Response:
    """Show the inbox's current public key."""
    with rooms().places.taken():
        return json_response(current_jwk(rooms().service.vault, rooms().service.clock()))
