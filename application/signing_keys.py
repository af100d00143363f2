"""The keys that certificates are signed with: Ed25519 keys made of secrets in the keyring, the youngest in use.

A key's id is its thumbprint (RFC 7638), so that nobody can give a key another one's name. A key that was replaced stays
in the keyring: what it signed is checked with its public part, which is published as long as the secret is kept.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from joserfc.jwk import OKPKey

from application.eddsa import ALGORITHM
from vault.named_secrets import Secrets

_NAME = re.compile(r"certificate-key-\d{20}-[0-9a-f]{8}")
_STAMP = "%Y%m%d%H%M%S%f"


def current_key(vault: Secrets, now: datetime) -> OKPKey:
    """Return the key to sign with, made when there is none. Raises ``KeysUnavailable``."""
    names = _names(vault)
    return _key(vault, names[-1] if names else rotate(vault, now))


def public_keys(vault: Secrets, now: datetime) -> list[dict[str, str]]:
    """Return the public part of every key there is as a JWK (RFC 7517, RFC 8037), the one in use first.

    Makes the first key when there is none yet. Raises ``KeysUnavailable``.
    """
    names = _names(vault) or [rotate(vault, now)]
    return [public_jwk(_key(vault, name)) for name in reversed(names)]


def public_jwk(key: OKPKey) -> dict[str, str]:
    """Return the public part of a key as a JWK, with its thumbprint as ``kid``."""
    x = str(key.as_dict(private=False)["x"])
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM}


def rotate(vault: Secrets, now: datetime) -> str:
    """Make a new key, which is in use from then on; return the name of its secret."""
    born = int(now.astimezone(UTC).strftime(_STAMP))
    if names := _names(vault):
        # Later than every key before it, whatever the clock says.
        born = max(born, int(names[-1].split("-")[2]) + 1)
    name = f"certificate-key-{born}-{secrets.token_hex(4)}"
    vault.secret(name)
    return name


def _names(vault: Secrets) -> list[str]:
    """Return the names of the secrets, the youngest last."""
    return sorted(name for name in vault.secrets() if _NAME.fullmatch(name))


def _key(vault: Secrets, name: str) -> OKPKey:
    return OKPKey.import_key(OKPKey.binding.from_private_bytes("Ed25519", vault.secret(name)))
