"""Opens what services put on the inbox: a compact JWE (RFC 7516) of a compact JWS (RFC 7515), one algorithm each.

Outside: ``ECDH-ES+A256KW`` with X25519 (RFC 7518, RFC 8037) and ``A256GCM``, ``kid`` naming one of our inbox keys.
Inside: ``EdDSA`` with Ed25519 (RFC 8037), ``kid`` naming a registered publisher. The keys come from our own records
alone: a header that brings a key, an address of one, another algorithm or compression is refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwe, jws
from joserfc.jwe import JWERegistry
from joserfc.jwk import OKPKey

from application import eddsa
from application.strict_json import parse_object
from domain.errors import CasekeeperError, InvalidInput, NotAuthenticated

JWE_ALG = "ECDH-ES+A256KW"
JWE_ENC = "A256GCM"
JWS_ALG = eddsa.ALGORITHM
MAX_TOKEN_BYTES = 512 * 1024
"""Largest message taken from the inbox, as it lies there."""
_OUTER = frozenset({"alg", "enc", "kid", "epk", "apu", "apv", "typ", "cty"})
_PLAIN = _OUTER - {"apu", "apv"}
_TYPES = ("JOSE", "JWE", "JWS", "JWT")
_INNER = frozenset({"alg", "kid", "typ", "cty"})
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){4}")
_CIPHERTEXT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{54}\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{22}")
"""The same with a wrapped key, a nonce and a tag of the lengths they have, so that nothing else lies there."""
_PUBLIC = re.compile(r"[A-Za-z0-9_-]{43}")
_HEADER_DEPTH = 4
_KID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_JWE = JWERegistry(algorithms=[JWE_ALG, JWE_ENC])
_JWE.max_ciphertext_length = MAX_TOKEN_BYTES
_JWS = eddsa.PinnedAlgorithm(MAX_TOKEN_BYTES)


@dataclass(frozen=True)
class SignedMessage:
    """The payload of a message and the publisher whose signature it carries."""

    publisher_id: UUID
    payload: bytes


def is_ciphertext_only(token: bytes) -> bool:
    """Return whether a message that :func:`decrypt` has opened says nothing in clear: its header is agreed words alone.

    What a header may hold beside them (``apu``, another ``typ``, members of ``epk``) is the sender's own text.
    """
    if not _CIPHERTEXT.fullmatch(token):
        return False
    header = token.partition(b".")[0]
    try:
        stated = parse_object(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)), _HEADER_DEPTH)
    except (InvalidInput, ValueError):
        return False
    ephemeral = stated.get("epk")
    return (
        stated.keys() <= _PLAIN
        and all(stated[name] in _TYPES for name in ("typ", "cty") if name in stated)
        and isinstance(ephemeral, Mapping)
        and ephemeral.keys() == {"kty", "crv", "x"}
        and (ephemeral["kty"], ephemeral["crv"]) == ("OKP", "X25519")
        and isinstance(ephemeral["x"], str)
        and _PUBLIC.fullmatch(ephemeral["x"]) is not None
    )


def decrypt(token: bytes, private_key: Callable[[str], bytes | None]) -> bytes:
    """Return the JWS inside a JWE; ``private_key`` gives the 32 bytes of an inbox key by its kid, or ``None``.

    Raises ``NotAuthenticated``, and what ``private_key`` raises.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise NotAuthenticated("message-too-large", f"messages have at most {MAX_TOKEN_BYTES} bytes")
    if not _COMPACT.fullmatch(token):
        raise NotAuthenticated("message-unreadable", "the message is not a compact JWE")

    def key(recipient: Any) -> OKPKey:
        headers = recipient.headers()
        _check(headers, _OUTER, {"alg": JWE_ALG, "enc": JWE_ENC})
        secret = private_key(headers["kid"])
        if secret is None:
            raise NotAuthenticated("inbox-key-unknown", "the message is encrypted to no current inbox key")
        return OKPKey.import_key(OKPKey.binding.from_private_bytes("X25519", secret))

    try:
        plaintext = jwe.decrypt_compact(token, key, registry=_JWE).plaintext
    except CasekeeperError:
        raise
    except Exception:
        # Whatever the libraries make of hostile input, it is the same to us, and their text may quote it.
        raise NotAuthenticated("message-unreadable", "the message cannot be decrypted") from None
    return plaintext or b""


def verify(token: bytes, public_key: Callable[[UUID], str]) -> SignedMessage:
    """Return the payload of a JWS; ``public_key`` gives a publisher's Ed25519 key as base64url.

    Raises ``NotAuthenticated``, and what ``public_key`` raises for a publisher that is unknown or revoked.
    """
    signer: list[UUID] = []

    def key(signature: Any) -> OKPKey:
        headers = signature.headers()
        _check(headers, _INNER, {"alg": JWS_ALG})
        signer.append(_publisher(headers["kid"]))
        return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public_key(signer[0])})

    try:
        opened = jws.deserialize_compact(token, key, registry=_JWS)
    except CasekeeperError:
        raise
    except Exception:
        raise NotAuthenticated("signature-invalid", "the message carries no valid signature") from None
    return SignedMessage(signer[0], opened.payload)


def _check(headers: Mapping[str, Any], allowed: frozenset[str], pinned: Mapping[str, str]) -> None:
    if not allowed >= headers.keys() or any(headers.get(name) != value for name, value in pinned.items()):
        raise NotAuthenticated("algorithm-not-allowed", "the message uses another algorithm or header than agreed")
    kid = headers.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise NotAuthenticated("message-unreadable", "the message does not name its key")


def _publisher(kid: str) -> UUID:
    try:
        return UUID(kid)
    except ValueError:
        raise NotAuthenticated("publisher-unknown", "the message is not signed by a registered publisher") from None
