"""The keys (RFC 7517) to encrypt messages to the inbox, and to verify its outcomes. They are public: no token."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from api.json_answers import json_response
from api.request_scope import rooms
from api.sample import SIGNING_KEY
from api.shapes import JWK, listed, thing
from application.inbox_keys import CLIENT_CACHE, current_jwk
from application.signing_keys import OUTCOMES, public_keys

blueprint = Blueprint("inbox", __name__, description="What a publishing service needs to use the Kafka inbox")

_EXAMPLE = {
    "kty": "OKP",
    "crv": "X25519",
    "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
    "kid": "20260301093000-1f2e3d4c5b6a7988",
    "use": "enc",
    "alg": "ECDH-ES+A256KW",
}


@blueprint.get("/v1/inbox-key")
@blueprint.doc(
    summary="Show the inbox's current public key",
    description=f"A publisher may keep it for {int(CLIENT_CACHE.total_seconds())} seconds.",
    security=[],
    responses={
        "200": {"description": "The key", "content": {"application/json": {"schema": JWK, "example": _EXAMPLE}}},
        "429": {"$ref": "#/components/responses/Problem429"},
        "503": {"$ref": "#/components/responses/Problem503"},
    },
)
def inbox_key() -> Response:
    """Show the inbox's current public key."""
    with rooms().places.taken():
        return json_response(current_jwk(rooms().service.vault, rooms().service.clock()))


@blueprint.get("/v1/outcome-keys")
@blueprint.doc(
    summary="List the keys that outcomes are verified with",
    description="A JWK set (RFC 7517): the key in use first, then those it replaced. `kid` is the thumbprint of "
    "RFC 7638. Ask again for a key that is not among them, with a pause between.",
    security=[],
    responses={
        "200": {
            "description": "The keys",
            "content": {"application/json": {"schema": thing(keys=listed(JWK)), "example": {"keys": [SIGNING_KEY]}}},
        },
        "429": {"$ref": "#/components/responses/Problem429"},
        "503": {"$ref": "#/components/responses/Problem503"},
    },
)
def outcome_keys() -> Response:
    """List the keys that outcomes are verified with."""
    with rooms().places.taken():
        return json_response({"keys": public_keys(rooms().service.vault, rooms().service.clock(), OUTCOMES)})
