"""Who may call an endpoint: authentication by bearer token, then role and purpose of use, before anything is read."""

from __future__ import annotations

from collections.abc import Collection

from flask import g, request

from api import problem_types as types
from api.request_scope import request_id, rooms
from api.tokens import TOKEN_ROLES
from application.caller import Caller
from domain.errors import NotAllowed, NotAuthenticated
from domain.vocabulary import PURPOSES_OF_USE

Pairs = Collection[tuple[str, str]]
"""Pairs of (role, purpose of use); one is enough."""

ANYONE: Pairs = frozenset((role, purpose) for role in TOKEN_ROLES for purpose in PURPOSES_OF_USE)
"""Any role, any purpose: for what is not personal."""


def authenticate() -> Caller:
    """Take the caller from the ``Authorization`` header and keep it for this request.

    Raises :class:`NotAuthenticated` without a valid token, :class:`NotAllowed` when it states no purpose of use.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(types.TOKEN_MISSING.slug, "send Authorization: Bearer and a token")
    caller = rooms().tokens.read(token.strip()).caller(request_id())
    g.caller = caller
    return caller


def permit(caller: Caller, allowed: Pairs) -> None:
    """Raise :class:`NotAllowed` unless one of the caller's roles may do this for the caller's purpose."""
    if caller.purpose is None:
        raise NotAllowed(types.PURPOSE_MISSING.slug, "the token states no purpose of use that this service knows")
    if not any((role, caller.purpose) in allowed for role in caller.roles):
        raise NotAllowed(types.NOT_ALLOWED.slug, "no role of this token may do this for its purpose of use")
