"""The keys that we sign with: Ed25519 keys made of secrets in the keyring, the youngest of a kind in use.

Each kind signs one kind of document: ``certificate`` those of erasures, ``outcome`` what the inbox answers. A key's id
is its thumbprint (RFC 7638), so that nobody can give a key another one's name. What a replaced key signed is checked
with its public part, which is published as long as the secret is in the keyring: for a certificate's key for ever, for
an outcome's until nothing that it signed is left (:func:`replace`).
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from joserfc.jwk import OKPKey

from application.eddsa import ALGORITHM
from vault.named_secrets import Secrets

CERTIFICATES = "certificate"
OUTCOMES = "outcome"
_STAMP = "%Y%m%d%H%M%S%f"


def current_key(vault: Secrets, now: datetime, kind: str) -> OKPKey:
    """Return the key to sign with, made when there is none. Raises ``KeysUnavailable``."""
    names = _names(vault, kind)
    return _key(vault, names[-1] if names else rotate(vault, now, kind))


def public_keys(vault: Secrets, now: datetime, kind: str) -> list[dict[str, str]]:
    """Return the public part of every key there is as a JWK (RFC 7517, RFC 8037), the one in use first.

    Makes the first key when there is none yet. Raises ``KeysUnavailable``.
    """
    names = _names(vault, kind) or [rotate(vault, now, kind)]
    return [public_jwk(_key(vault, name)) for name in reversed(names)]


def public_jwk(key: OKPKey) -> dict[str, str]:
    """Return the public part of a key as a JWK, with its thumbprint as ``kid``."""
    x = str(key.as_dict(private=False)["x"])
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM}


def rotate(vault: Secrets, now: datetime, kind: str) -> str:
    """Make a new key, which is in use from then on; return the name of its secret."""
    born = now.astimezone(UTC)
    if names := _names(vault, kind):
        # Later than every key before it, whatever the clock says.
        born = max(born, _born(names[-1]) + timedelta(microseconds=1))
    name = f"{kind}-key-{born.strftime(_STAMP)}-{secrets.token_hex(4)}"
    vault.secret(name)
    return name


def replace(vault: Secrets, now: datetime, kind: str, life: timedelta, kept: timedelta) -> list[str]:
    """Make a new key where the youngest is older than ``life``; destroy those replaced for ``kept``, and return them.

    A key that is kept for as long as what it signed is to be found can be checked with for as long. Raises
    ``KeysUnavailable``.
    """
    names = _names(vault, kind)
    if not names or now - _born(names[-1]) > life:
        rotate(vault, now, kind)
    gone = [name for name, successor in pairwise(names) if now - _born(successor) > kept]
    for name in gone:
        vault.destroy_secret(name)
    return gone


def _names(vault: Secrets, kind: str) -> list[str]:
    """Return the names of the secrets of a kind, the youngest last."""
    form = re.compile(re.escape(kind) + r"-key-\d{20}-[0-9a-f]{8}")
    return sorted(name for name in vault.secrets() if form.fullmatch(name))


def _born(name: str) -> datetime:
    return datetime.strptime(name.split("-")[-2], _STAMP).replace(tzinfo=UTC)


def _key(vault: Secrets, name: str) -> OKPKey:
    return OKPKey.import_key(OKPKey.binding.from_private_bytes("Ed25519", vault.secret(name)))
