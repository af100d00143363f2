"""Bearer tokens: JWTs of trusted issuers (RFC 7519), each issuer with one key and exactly one pinned algorithm.

Claims: ``iss``; ``sub``, an opaque identifier; ``aud`` ``casekeeper``; ``exp``; ``roles``, a list; ``purpose``, one
purpose of use. Names and addresses of staff do not belong in ``sub``: it is stored with every event.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OKPKey

from application import problems
from application.caller import Caller
from application.eddsa import ALGORITHM, PinnedAlgorithm
from domain.errors import NotAuthenticated
from domain.registry import ACTOR_ID
from domain.vocabulary import PURPOSES_OF_USE, ROLES

AUDIENCE = "casekeeper"
MAX_TOKEN_CHARACTERS = 4096
MOST_KNOWN = 1000
"""Most verified tokens kept; beyond, the one verified first is forgotten."""
TOKEN_ROLES = ROLES - {"system"}
"""Roles a token can give; ``system`` is the service itself and never comes from outside."""

PINNED = PinnedAlgorithm()


@dataclass(frozen=True)
class Issuer:
    """A trusted issuer: its name and its public Ed25519 key. The algorithm is EdDSA, whatever a token's header says."""

    name: str
    key: OKPKey


@dataclass(frozen=True)
class Claims:
    """What a valid token says. ``purpose`` is ``None`` when it names no purpose of use known here."""

    issuer: str
    subject: str
    roles: frozenset[str]
    purpose: str | None
    expires: int

    def caller(self, correlation_id: UUID) -> Caller:
        """Return the caller of one request."""
        return Caller(self.issuer, self.subject, self.roles, self.purpose, "api", correlation_id)


class TokenReader:
    """Verifies tokens against the trusted issuers; one that was verified is known until it expires."""

    def __init__(self, issuers: Mapping[str, Issuer], clock: Callable[[], float] = time.time) -> None:
        self._issuers = dict(issuers)
        self._clock = clock
        self._known: OrderedDict[str, Claims] = OrderedDict()
        self._lock = threading.Lock()
        self._rules = jwt.JWTClaimsRegistry(
            aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}, sub={"essential": True}
        )

    def read(self, token: str) -> Claims:
        """Return the claims of a token. Raises :class:`NotAuthenticated` (``token-invalid`` or ``token-expired``)."""
        known = self._known.get(token)
        if known is not None and known.expires > self._clock():
            return known
        claims = self._read(token)
        with self._lock:
            self._known[token] = claims
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return claims

    def _read(self, token: str) -> Claims:
        try:
            claims = self._verified(token)
            # A clock a second ahead of ours is no reason to refuse: only exp and nbf bound a token's life.
            self._rules.validate({name: value for name, value in claims.items() if name != "iat"})
        except ExpiredTokenError:
            raise NotAuthenticated(problems.TOKEN_EXPIRED.slug, "the token has expired: get a new one") from None
        except (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise _invalid() from None
        return _claims(claims)

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise _invalid()
        stated = json.loads(jws.extract_compact(token.encode()).payload or b"")
        issuer = self._issuers[stated["iss"]]
        return jwt.decode(token, issuer.key, registry=PINNED).claims


def read_issuers(path: Path) -> dict[str, Issuer]:
    """Read the trusted issuers from a JSON file ``{issuer: {"alg": "EdDSA", "jwk": {…}}}``.

    Raises ``ValueError`` when an entry is not an Ed25519 public key pinned to EdDSA.
    """
    found: dict[str, Issuer] = {}
    for name, entry in json.loads(path.read_text()).items():
        jwk = entry.get("jwk", {})
        if entry.get("alg") != ALGORITHM or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or "d" in jwk:
            raise ValueError(f"issuer {name}: needs alg EdDSA and the public Ed25519 key as jwk")
        found[name] = Issuer(name, OKPKey.import_key(jwk))
    return found


def _claims(claims: Mapping[str, Any]) -> Claims:
    subject, roles, purpose = claims["sub"], claims.get("roles"), claims.get("purpose")
    if not ACTOR_ID.conforms(subject):
        raise _invalid("the token's sub is not an opaque identifier of letters, digits and _.:-")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise _invalid("the token's roles are not a list of words")
    known = purpose if isinstance(purpose, str) and purpose in PURPOSES_OF_USE else None
    return Claims(claims["iss"], subject, frozenset(roles) & TOKEN_ROLES, known, int(claims["exp"]))


def _invalid(detail: str = "the token is malformed, forged or from an issuer not trusted here") -> NotAuthenticated:
    return NotAuthenticated(problems.TOKEN_INVALID.slug, detail)
