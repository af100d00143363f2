"""What the client writes, taken apart step by step as RFC 7515 and RFC 7516 say, with no JOSE library."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from casekeeper_client import InvalidKey, MessageTooLarge, new_key_pair
from casekeeper_client.sealing import Signer

PUBLISHER = "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"
MESSAGE = {"message_id": "m1", "data": {"given_name": "Zoë"}}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def inbox() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


def jwk(inbox: X25519PrivateKey) -> dict[str, str]:
    public = inbox.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "X25519", "x": b64(public), "kid": "k1"}


def decrypted(token: bytes, inbox: X25519PrivateKey) -> tuple[dict[str, Any], bytes]:
    """Undo ECDH-ES+A256KW (RFC 7518, section 4.6) and A256GCM."""
    header, wrapped, iv, ciphertext, tag = token.decode().split(".")
    protected = json.loads(unb64(header))
    shared = inbox.exchange(X25519PublicKey.from_public_bytes(unb64(protected["epk"]["x"])))
    name = protected["alg"].encode()
    info = struct.pack(">I", len(name)) + name + struct.pack(">III", 0, 0, 256)
    wrapping_key = hashlib.sha256(struct.pack(">I", 1) + shared + info).digest()
    key = aes_key_unwrap(wrapping_key, unb64(wrapped))
    return protected, AESGCM(key).decrypt(unb64(iv), unb64(ciphertext) + unb64(tag), header.encode())


def test_a_message_is_signed_by_the_publisher_and_encrypted_to_the_inbox(inbox: X25519PrivateKey) -> None:
    private, public = new_key_pair()
    outer, signed = decrypted(Signer(PUBLISHER, private).seal(MESSAGE, jwk(inbox)), inbox)
    header, payload, signature = signed.decode().split(".")

    assert (outer["alg"], outer["enc"], outer["kid"]) == ("ECDH-ES+A256KW", "A256GCM", "k1")
    assert json.loads(unb64(header)) == {"alg": "EdDSA", "kid": PUBLISHER}
    assert json.loads(unb64(payload)) == MESSAGE
    key = Ed25519PublicKey.from_public_bytes(unb64(public))
    key.verify(unb64(signature), f"{header}.{payload}".encode())
    with pytest.raises(InvalidSignature):
        key.verify(unb64(signature), f"{header}.{payload}x".encode())


def test_the_same_message_is_never_the_same_bytes(inbox: X25519PrivateKey) -> None:
    signer = Signer(PUBLISHER, new_key_pair()[0])

    assert signer.seal(MESSAGE, jwk(inbox)) != signer.seal(MESSAGE, jwk(inbox))


def test_key_pairs_are_new_each_time_and_the_public_part_is_the_private_ones() -> None:
    (first, public), (second, _) = new_key_pair(), new_key_pair()

    assert first["d"] != second["d"]
    assert first["x"] == public
    assert (first["kty"], first["crv"], len(unb64(first["d"]))) == ("OKP", "Ed25519", 32)


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32))},
        {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32)), "d": b64(bytes(32))},
        {"kty": "oct", "k": b64(bytes(32))},
        {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32)), "d": "short"},
    ],
)
def test_a_key_of_another_kind_is_refused(key: dict[str, str]) -> None:
    with pytest.raises(InvalidKey):
        Signer(PUBLISHER, key)


def test_a_message_over_the_limit_is_refused_before_it_is_sent(inbox: X25519PrivateKey) -> None:
    with pytest.raises(MessageTooLarge) as too_large:
        Signer(PUBLISHER, new_key_pair()[0]).seal({"data": "x" * 400_000}, jwk(inbox))

    assert too_large.value.limit == 524_288


def test_what_is_no_json_is_refused(inbox: X25519PrivateKey) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Signer(PUBLISHER, new_key_pair()[0]).seal({"data": float("nan")}, jwk(inbox))
