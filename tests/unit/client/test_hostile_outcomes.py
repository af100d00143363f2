"""What a stranger puts on the outcomes topic is no outcome: only what the service's key signed is."""

from __future__ import annotations

import gc
import hmac
import json
import tracemalloc
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from casekeeper_client.outcome_keys import OutcomeKeys
from casekeeper_client.outcome_types import Accepted, Outcome, Rejected
from casekeeper_client.verifying import NoClaim, claimed
from tests.outcome_tokens import b64, header_of, keys_as_secrets, public_jwk, token

ME, ID = "0b9a4f3e-5a0c-4f6e-9f43-7a4de3f7a001", "5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10"
TO_ME = {"message_id": ID, "publisher_id": ME, "message_sha256": "ab" * 32}
ACCEPTED = {**TO_ME, "status": "accepted", "answer": {"receipt": {"position": 3}}}
PROBLEM = {"type": "urn:casekeeper:problem:not-found", "title": "There is no such thing", "status": 404}
REJECTED = {**TO_ME, "status": "rejected", "problem": PROBLEM}
OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
JWK = public_jwk(OURS, "k1")
KEYS = OutcomeKeys({"keys": [JWK]})


def genuine(said: Any) -> bytes:
    return token(header_of("k1"), said, OURS.sign)


def read(value: bytes | None) -> Outcome | None:
    """Return what is believed of a record, with the keys of the service."""
    try:
        claim = claimed(value)
    except NoClaim:
        return None
    key = KEYS.find(claim.kid)
    return None if key is None else claim.verified(key)


def test_what_the_service_signed_is_read() -> None:
    claim = claimed(genuine(ACCEPTED))

    assert (claim.publisher_id, claim.message_id, claim.message_sha256, claim.kid) == (ME, ID, "ab" * 32, "k1")
    assert read(genuine(ACCEPTED)) == Accepted(ID, ACCEPTED["answer"])
    assert read(genuine(REJECTED)) == Rejected(ID, PROBLEM)


MANY = {**ACCEPTED, "answer": {**ACCEPTED["answer"], "x": [{}] * 23_000}}


@pytest.mark.parametrize(
    ("kid", "said"),
    [("k1", ACCEPTED), ("k1", REJECTED), ("k1", MANY), ("\U0001f511" * 20, ACCEPTED)],
    ids=["accepted", "rejected", "of many objects", "of a wide kid"],
)
def test_its_size_is_the_memory_that_it_takes(kid: str, said: Any) -> None:
    written = bytearray(token(header_of(kid), said, THEIRS.sign))
    claimed(bytes(written))
    tracemalloc.start()
    claims = [claimed(bytes(written)) for _ in range(100)]
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(claim.size for claim in claims) == pytest.approx(taken, rel=0.1)


def mac(secret: bytes, name: str) -> Any:
    return lambda signed: hmac.new(secret, signed, name).digest()


FORGED = {
    "in clear, as anybody can write it": json.dumps(ACCEPTED).encode(),
    "another's key under our key's name": token(header_of("k1"), ACCEPTED, THEIRS.sign),
    "another's key under its own name": token(header_of("k2"), ACCEPTED, THEIRS.sign),
    "another's key, brought along": token(header_of("k1", jwk=public_jwk(THEIRS, "k1")), ACCEPTED, THEIRS.sign),
    "no signature": token(header_of("k1", alg="none"), ACCEPTED, lambda _: b""),
    "none in other letters": token(header_of("k1", alg="nOnE"), ACCEPTED, lambda _: b""),
    "an empty signature": token(header_of("k1"), ACCEPTED, lambda _: b""),
    "a signature of zeros": token(header_of("k1"), ACCEPTED, lambda _: bytes(64)),
    **{
        f"{alg} with our public key as the secret, {form}": token(header_of("k1", alg=alg), ACCEPTED, mac(key, name))
        for alg, name in (("HS256", "sha256"), ("HS512", "sha512"))
        for form, key in keys_as_secrets(JWK).items()
    },
    "said to be EdDSA, and a MAC": token(header_of("k1"), ACCEPTED, mac(keys_as_secrets(JWK)["raw"], "sha512")),
    "our signature of another text": b".".join(genuine(ACCEPTED).split(b".")[:2] + genuine(REJECTED).split(b".")[2:]),
    "signed by us as something else": token(header_of("k1", typ="casekeeper-certificate+jws"), ACCEPTED, OURS.sign),
    "signed by us without a type": token({"alg": "EdDSA", "kid": "k1"}, ACCEPTED, OURS.sign),
    "signed by us, with a header too many": token(header_of("k1", cty="json"), ACCEPTED, OURS.sign),
    "its payload not encoded": token(header_of("k1", b64=False, crit=["b64"]), ACCEPTED, OURS.sign),
}


@pytest.mark.parametrize("value", FORGED.values(), ids=FORGED.keys())
def test_a_forgery_is_not_believed(value: bytes) -> None:
    assert read(value) is None


@pytest.mark.parametrize(
    "said",
    [
        None,
        5,
        [],
        {},
        {**ACCEPTED, "publisher_id": [ME]},
        {**ACCEPTED, "message_id": [ID]},
        {**ACCEPTED, "message_sha256": None},
        {name: value for name, value in ACCEPTED.items() if name != "message_sha256"},
        {**ACCEPTED, "status": "perhaps"},
        {**ACCEPTED, "status": ["accepted"]},
        {**ACCEPTED, "answer": None},
        {**ACCEPTED, "answer": {}},
        {**ACCEPTED, "answer": {"receipt": {"position": "3"}}},
        {**REJECTED, "problem": "no"},
        {**REJECTED, "problem": {"type": 5, "title": "x"}},
    ],
)
def test_another_form_is_no_outcome_whoever_signed_it(said: Any) -> None:
    with pytest.raises(NoClaim):
        claimed(genuine(said))


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"null", b"5", b"[]", b"{}", b"\xff\xfe", b"..", b"a.b.c", b"[" * 100_000, b'{"a":' * 50_000),
        b".".join(b64(b"[" * 90_000).encode() for _ in range(3)),
        f"{b64(b'[' * 300)}.{b64(b'{}')}.{b64(bytes(64))}".encode(),
        f"{b64(b'null')}.{b64(b'{}')}.{b64(bytes(64))}".encode(),
        f"{b64(json.dumps(header_of('k1')).encode())}.{b64(b'[' * 90_000)}.{b64(bytes(64))}".encode(),
        f"{b64(json.dumps(header_of('k1')).encode())}.{b64(b'9' * 90_000)}.{b64(bytes(64))}".encode(),
        token({**header_of("k1"), "kid": ["k1"]}, ACCEPTED, OURS.sign),
        token([], ACCEPTED, OURS.sign),
        token(["alg"], ACCEPTED, OURS.sign),
    ],
    ids=lambda value: str(value)[:12],
)
def test_anything_else_is_none(value: bytes | None) -> None:
    with pytest.raises(NoClaim):
        claimed(value)


@examples(max_examples=300, deadline=None)
@given(st.binary(max_size=3), st.floats(0, 1), st.integers(0, 30), st.sampled_from([ACCEPTED, REJECTED]))
def test_any_bytes_are_what_was_signed_or_nothing(put: bytes, where: float, taken: int, said: dict[str, Any]) -> None:
    value = genuine(said)
    at = int(where * len(value))
    found = read(value[:at] + put + value[at + taken :])

    # Base64 can say the same bytes in two ways; then it is the same outcome.
    assert found in (None, read(value))
