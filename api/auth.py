"""Who calls an endpoint: authentication by bearer token, and the pairs of role and purpose of use that may call it."""

from __future__ import annotations

from collections.abc import Collection

from flask import g, request

from api.request_scope import peer, request_id, rooms
from api.tokens import TOKEN_ROLES
from application import problems
from application.caller import Caller
from domain.errors import NotAuthenticated
from domain.vocabulary import PURPOSES_OF_USE

Pairs = Collection[tuple[str, str]]
"""Pairs of (role, purpose of use); one is enough."""

ANYONE: Pairs = frozenset((role, purpose) for role in TOKEN_ROLES for purpose in PURPOSES_OF_USE)
"""Any role, any purpose: for what is not personal."""


def authenticate() -> Caller:
    """Take the caller from the ``Authorization`` header, keep it for this request and count the call.

    Raises :class:`NotAuthenticated` without a valid token, :class:`RateLimited`.
    """
    try:
        claims = rooms().tokens.read(_token())
    except NotAuthenticated:
        rooms().rates.peer(peer())
        raise
    rooms().rates.caller(claims.issuer, claims.subject)
    g.caller = claims.caller(request_id())
    return g.caller


def _token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(problems.TOKEN_MISSING.slug, "send Authorization: Bearer and a token")
    return token.strip()
