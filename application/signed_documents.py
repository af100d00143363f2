"""Certificates and supplements as compact JWS (RFC 7515) under EdDSA (RFC 8037): signed here, and read with checks.

The payload is canonical JSON (``domain.record.encode``) of a form of ``domain.certificate_form``. Base64url is held to
its one shortest spelling, so that no bit of a document can be changed unnoticed, not even one that carries nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from application import eddsa
from application.eddsa import ALGORITHM, PinnedAlgorithm
from domain.certificate_form import misfits
from domain.errors import DocumentInvalid
from domain.record import MAX_RECORD_BYTES, encode

MEDIA_TYPE = "casekeeper-certificate+jws"

_REGISTRY = PinnedAlgorithm(MAX_RECORD_BYTES)


def sign(document: Mapping[str, Any], key: OKPKey) -> str:
    """Return a document signed. Raises ``ValueError`` when it has not the form of a certificate or supplement."""
    if wrong := misfits(document):
        raise ValueError(f"not of the form of a certificate: {', '.join(wrong)}")
    return eddsa.signed(encode(document), MEDIA_TYPE, key)


def digest(document: str) -> str:
    """Return SHA-256, in hexadecimal, of a signed document as it stands: how a supplement names its certificate."""
    return hashlib.sha256(document.encode()).hexdigest()


def read(document: str, keys: Mapping[str, OKPKey]) -> dict[str, Any]:
    """Return what a signed document says. ``keys``: by thumbprint. Raises :class:`DocumentInvalid` naming the check."""
    parts = document.split(".")
    if len(parts) != 3:
        raise DocumentInvalid("not a compact JWS of three parts")
    header, payload, signature = (_decoded(name, part) for name, part in zip(_PARTS, parts, strict=True))
    key = keys.get(_kid(header))
    if key is None:
        raise DocumentInvalid("kid names a key that is not among those given")
    if len(signature) != 64:
        raise DocumentInvalid("the signature is not one of 64 bytes")
    try:
        jws.deserialize_compact(document, key, registry=_REGISTRY)
    except (JoseError, ValueError):
        raise DocumentInvalid("the signature does not fit: something was changed, or another key signed") from None
    said = _json("payload", payload)
    if wrong := misfits(said):
        raise DocumentInvalid(f"the payload has not the form of a certificate: {', '.join(wrong)}")
    if encode(said) != payload:
        raise DocumentInvalid("the payload is not canonical JSON")
    return dict(said)


def keys_of(text: str) -> dict[str, OKPKey]:
    """Return the keys of a JWK or a JWK set by their thumbprints.

    Raises :class:`DocumentInvalid` when there is none, one is no public Ed25519 key, or one bears another's name.
    """
    said = _json("key file", text.encode())
    found: dict[str, OKPKey] = {}
    for jwk in said["keys"] if isinstance(said, dict) and isinstance(said.get("keys"), list) else [said]:
        key = _public_key(jwk)
        if jwk.get("kid", key.thumbprint()) != key.thumbprint():
            raise DocumentInvalid("key file: a kid is not the thumbprint of its key")
        found[key.thumbprint()] = key
    if not found:
        raise DocumentInvalid("key file: there is no key in it")
    return found


_PARTS = ("header", "payload", "signature")


def _public_key(jwk: Any) -> OKPKey:
    if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519") or "d" in jwk:
        raise DocumentInvalid("key file: not a public Ed25519 key as JWK")
    try:
        return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]})
    except (JoseError, ValueError, KeyError, TypeError):
        raise DocumentInvalid("key file: not a public Ed25519 key as JWK") from None


def _kid(header: bytes) -> str:
    said = _json("header", header)
    if not isinstance(said, dict) or said.keys() != {"alg", "kid", "typ"} or not isinstance(said["kid"], str):
        raise DocumentInvalid("the header has not exactly alg, kid and typ")
    if said["alg"] != ALGORITHM:
        raise DocumentInvalid(f"the header's alg is not {ALGORITHM}")
    if said["typ"] != MEDIA_TYPE:
        raise DocumentInvalid(f"the header's typ is not {MEDIA_TYPE}")
    return said["kid"]


def _decoded(name: str, part: str) -> bytes:
    try:
        decoded = base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise DocumentInvalid(f"the {name} is not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise DocumentInvalid(f"the {name} is not base64url in its one form")
    return decoded


def _json(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise DocumentInvalid(f"the {name} is not JSON") from None
