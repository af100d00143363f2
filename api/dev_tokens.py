"""Tokens of the development issuer, whose key is made from a secret of the keyring. Never in production."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from api.tokens import AUDIENCE, PINNED, Issuer, TokenReader, read_issuers
from application.eddsa import ALGORITHM
from domain.errors import NotAllowed

if TYPE_CHECKING:
    from application.settings import Settings
    from vault.vault import Vault

DEV_ISSUER = "casekeeper-dev"
DEV_LIFETIME = 8 * 3600
"""Seconds a development token lives unless told otherwise: a working day."""
_SECRET = "dev-issuer"  # noqa: S105 - the name of a secret, not one


class DevIssuer:
    """Issues development tokens. Raises :class:`NotAllowed` when made outside development."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        if settings.env != "development":
            raise NotAllowed("not-allowed", "development tokens are issued in development only")
        self._key = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(vault.secret(_SECRET)))

    def issue(self, actor: str, roles: list[str], purpose: str, lifetime: int = DEV_LIFETIME) -> str:
        """Return a token for an actor (opaque id) that lives ``lifetime`` seconds."""
        now = int(time.time())
        claims = {
            "iss": DEV_ISSUER,
            "sub": actor,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + lifetime,
            "roles": roles,
            "purpose": purpose,
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, registry=PINNED)

    def issuer(self) -> Issuer:
        """Return the issuer as a reader of tokens trusts it: the public key only."""
        return Issuer(DEV_ISSUER, OKPKey.import_key(self._key.as_dict(private=False)))


def token_reader(settings: Settings, vault: Vault) -> TokenReader:
    """Return the reader for this installation: the issuers of the settings' file and, in development, our own."""
    issuers = read_issuers(Path(settings.issuers)) if settings.issuers else {}
    issuers.pop(DEV_ISSUER, None)
    if settings.env == "development":
        issuers[DEV_ISSUER] = DevIssuer(settings, vault).issuer()
    return TokenReader(issuers)
