"""Outcomes as they lie on the topic, made and taken apart as RFC 7515 and RFC 8037 say, with no JOSE library."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TYP = "casekeeper-outcome+jws"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def token(header: Any, said: Any, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a compact JWS."""
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(said).encode())}".encode()
    return signed + b"." + b64(sign(signed)).encode()


def parts(value: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return header, payload and signature of a compact JWS, unverified."""
    header, said, signature = value.decode("ascii").split(".")
    return json.loads(unb64(header)), json.loads(unb64(said)), unb64(signature)


def public_jwk(key: Ed25519PrivateKey, kid: str) -> dict[str, str]:
    x = b64(key.public_key().public_bytes_raw())
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}


def header_of(kid: str, **changes: Any) -> dict[str, Any]:
    return {"alg": "EdDSA", "kid": kid, "typ": TYP, **changes}


def keys_as_secrets(jwk: Mapping[str, str]) -> dict[str, bytes]:
    """Return the bytes that a public key might be taken for when it is taken for the secret of a MAC."""
    return {"raw": unb64(jwk["x"]), "base64url": jwk["x"].encode(), "JWK": json.dumps(jwk).encode()}
