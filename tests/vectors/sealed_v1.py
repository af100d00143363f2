"""Writes ``sealed_v1.json``: sealed values of format 1, computed from its description alone.

Straight down, with the standard library's HMAC and one AES-GCM; nothing of the vault is imported.
Run ``python tests/vectors/sealed_v1.py > tests/vectors/sealed_v1.json``.
"""

import base64
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CASES = [
    {
        "comment": "a short object in the smallest class",
        "data_key": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "nonce": "a0a1a2a3a4a5a6a7a8a9aaab",
        "class": 256,
        "value": {"given_name": "Ada", "family_name": "Example"},
    },
    {
        "comment": "no fields at all",
        "data_key": "ff" * 32,
        "nonce": "00" * 12,
        "class": 256,
        "value": {},
    },
    {
        "comment": "letters beyond ASCII, nesting, null, numbers; keys not in order",
        "data_key": "5f" * 32,
        "nonce": "0102030405060708090a0b0c",
        "class": 384,
        "value": {"z": None, "note": "Überweisung ✓ 痛み " * 9, "a": [1, -2.5, True, {"c": "", "b": []}]},
    },
    {
        "comment": "255 bytes of JSON and the marker fill the smallest class",
        "data_key": "10" * 32,
        "nonce": "0f" * 12,
        "class": 256,
        "value": {"t": "x" * 247},
    },
    {
        "comment": "256 bytes of JSON need the next class",
        "data_key": "10" * 32,
        "nonce": "0e" * 12,
        "class": 384,
        "value": {"t": "x" * 248},
    },
    {
        "comment": "a value that ends like padding",
        "data_key": "33" * 32,
        "nonce": "44" * 12,
        "class": 512,
        "value": {"t": "\u0080" * 200},
    },
]
PLACE = {
    "subject_id": "11111111-1111-4111-8111-111111111111",
    "stream_id": "22222222-2222-4222-8222-222222222222",
    "event_id": "33333333-3333-4333-8333-333333333333",
    "event_type": "PersonRegistered",
    "schema_version": 1,
    "field": "identity",
    "scope_id": "44444444-4444-4444-8444-444444444444",
}
ELSEWHERE = {
    "subject_id": "11111111-1111-4111-8111-111111111112",
    "stream_id": "22222222-2222-4222-8222-222222222223",
    "event_id": "33333333-3333-4333-8333-333333333334",
    "event_type": "PersonRegisterec",
    "schema_version": 2,
    "field": "identita",
    "scope_id": "44444444-4444-4444-8444-444444444445",
}


def lengths_first(*items):
    return b"".join(struct.pack(">I", len(item)) + item for item in items)


def uuid_bytes(text):
    return bytes.fromhex(text.replace("-", ""))


def expand(key, info, length):
    block, out, number = b"", b"", 0
    while len(out) < length:
        number += 1
        block = hmac.new(key, block + info + bytes([number]), "sha256").digest()
        out += block
    return out[:length]


def sealed(case, place):
    field = place["field"].encode()
    event_id = uuid_bytes(place["event_id"])
    scope_id = uuid_bytes(place["scope_id"])
    nonce = bytes.fromhex(case["nonce"])
    associated = lengths_first(
        b"ck1",
        uuid_bytes(place["subject_id"]),
        uuid_bytes(place["stream_id"]),
        event_id,
        place["event_type"].encode(),
        b"%d" % place["schema_version"],
        field,
        scope_id,
    )
    extracted = hmac.new(bytes(32), bytes.fromhex(case["data_key"]), "sha256").digest()
    event_key = expand(extracted, lengths_first(event_id, field, b"\x01"), 32)
    both = expand(event_key, lengths_first(b"ck1/keys"), 64)
    plaintext = json.dumps(case["value"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    padded = plaintext + b"\x80" + b"\x00" * (case["class"] - len(plaintext) - 1)
    ciphertext = AESGCM(both[:32]).encrypt(nonce, padded, associated)
    commitment = hmac.new(both[32:], lengths_first(b"ck1/commitment", associated, nonce), "sha256").digest()
    raw = b"\x01" + scope_id + nonce + ciphertext + commitment
    return {
        "event_key": event_key.hex(),
        "associated_data": associated.hex(),
        "sealed": "ck1." + base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


def vectors():
    return {
        "format": "sealed value 1",
        "cases": [{**case, "place": PLACE, **sealed(case, PLACE)} for case in CASES],
        "does_not_open_at": [{"changed": name, "place": {**PLACE, name: ELSEWHERE[name]}} for name in PLACE],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=True))
