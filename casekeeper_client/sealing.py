"""Signs a message and encrypts it to the service: a compact JWS (RFC 7515) inside a compact JWE (RFC 7516)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jwe, jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwe import JWERegistry
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from casekeeper_client.errors import InvalidKey, MessageTooLarge

JWE_ALG = "ECDH-ES+A256KW"
JWE_ENC = "A256GCM"
JWS_ALG = "EdDSA"
MAX_MESSAGE_BYTES = 512 * 1024
"""Largest message the inbox takes, signed and encrypted; about 280 KiB of JSON."""

# The library prefers RFC 9864's name for the same algorithm.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)

_JWE = JWERegistry(algorithms=[JWE_ALG, JWE_ENC])
_JWS = JWSRegistry(algorithms=[JWS_ALG])


class Signer:
    """A publisher's signing key. ``private_key`` is a JWK (Ed25519, RFC 8037). Raises ``InvalidKey``."""

    def __init__(self, publisher_id: str, private_key: Mapping[str, str]) -> None:
        self._publisher_id = publisher_id
        self._key = _okp(private_key, "Ed25519")
        if not self._key.is_private:
            raise InvalidKey("the signing key must be a private Ed25519 key")

    def seal(self, message: Mapping[str, Any], inbox_key: Mapping[str, str]) -> bytes:
        """Return a message (JSON) signed and encrypted to an inbox key (JWK with ``kid``).

        Raises ``InvalidKey``, ``MessageTooLarge``; ``ValueError`` or ``TypeError`` when the message is no JSON.
        """
        payload = json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        header = {"alg": JWS_ALG, "kid": self._publisher_id}
        signed = jws.serialize_compact(header, payload, self._key, registry=_JWS)
        outer = {"alg": JWE_ALG, "enc": JWE_ENC, "kid": inbox_key.get("kid", "")}
        sealed = jwe.encrypt_compact(outer, signed.encode(), _okp(inbox_key, "X25519"), registry=_JWE).encode()
        if len(sealed) > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(len(sealed), MAX_MESSAGE_BYTES)
        return sealed


def new_key_pair() -> tuple[dict[str, str], str]:
    """Return a new private signing key as a JWK, and its public key (base64url) to register with the service."""
    key = OKPKey.generate_key("Ed25519")
    private = {
        name: str(value) for name, value in key.as_dict(private=True).items() if name in ("kty", "crv", "x", "d")
    }
    return private, private["x"]


def public_key(jwk: Mapping[str, str]) -> OKPKey:
    """Return the public Ed25519 key of a JWK. Raises ``InvalidKey``."""
    return _okp({name: value for name, value in jwk.items() if name != "d"}, "Ed25519")


def _okp(jwk: Mapping[str, str], curve: str) -> OKPKey:
    try:
        key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "d") if name in jwk})
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidKey(f"not an {curve} key as a JWK") from None
    if key.curve_name != curve:
        raise InvalidKey(f"not an {curve} key as a JWK")
    return key
