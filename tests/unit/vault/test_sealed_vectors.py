"""Sealed values of format 1, computed by ``tests/vectors/sealed_v1.py`` without the vault's code."""

import base64
import hmac
import json
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from domain.errors import Tampered
from domain.sealed import Binding
from vault import sealing
from vault.primitives import SecretKey, hkdf_expand, prefixed
from vault.sealing import SealedValue, associated_data, event_key, seal, unseal

VECTORS = Path(__file__).parents[2] / "vectors"
DOCUMENT = json.loads((VECTORS / "sealed_v1.json").read_text())
CASES = [pytest.param(case, id=case["comment"]) for case in DOCUMENT["cases"]]


def place_of(vector):
    place = vector["place"]
    subject, stream, event = (UUID(place[name]) for name in ("subject_id", "stream_id", "event_id"))
    binding = Binding(subject, stream, event, place["event_type"], place["schema_version"], place["field"])
    return binding, UUID(place["scope_id"])


def key_of(case, binding):
    return event_key(SecretKey(bytes.fromhex(case["data_key"])), binding)


def test_the_file_is_what_the_script_writes():
    assert runpy.run_path(str(VECTORS / "sealed_v1.py"))["vectors"]() == DOCUMENT


@pytest.mark.parametrize("case", CASES)
def test_sealing_gives_the_vector(case, monkeypatch):
    monkeypatch.setattr(sealing, "new_nonce", lambda: bytes.fromhex(case["nonce"]))
    binding, scope_id = place_of(case)

    assert associated_data(binding, scope_id).hex() == case["associated_data"]
    assert key_of(case, binding).hex() == case["event_key"]
    assert seal(key_of(case, binding), scope_id, binding, case["value"]) == case["sealed"]


@pytest.mark.parametrize("case", CASES)
def test_the_vector_opens(case):
    binding, _ = place_of(case)

    assert unseal(key_of(case, binding), SealedValue.parse(case["sealed"]), binding) == case["value"]
    assert unseal(bytes.fromhex(case["event_key"]), SealedValue.parse(case["sealed"]), binding) == case["value"]


@pytest.mark.parametrize("elsewhere", DOCUMENT["does_not_open_at"], ids=lambda place: place["changed"])
@pytest.mark.parametrize("case", CASES)
def test_it_does_not_open_at_another_place(case, elsewhere):
    sealed = SealedValue.parse(case["sealed"])
    binding, scope_id = place_of(elsewhere)
    moved = SealedValue(scope_id, sealed.nonce, sealed.ciphertext, sealed.commitment)

    with pytest.raises(Tampered):
        unseal(key_of(case, binding), moved, binding)
    with pytest.raises(Tampered):
        unseal(bytes.fromhex(case["event_key"]), moved, binding)


def flipped(content: bytes) -> Iterator[bytes]:
    """Return the content once for every byte of it, with one bit of that byte changed."""
    for number, byte in enumerate(content):
        yield content[:number] + bytes([byte ^ 1 << number % 8]) + content[number + 1 :]


@pytest.mark.parametrize("case", CASES)
def test_it_does_not_open_with_any_byte_of_the_associated_data_changed(case, monkeypatch):
    binding, _ = place_of(case)
    sealed, tried = SealedValue.parse(case["sealed"]), 0

    for changed in flipped(bytes.fromhex(case["associated_data"])):
        monkeypatch.setattr(sealing, "associated_data", lambda *_, changed=changed: changed)
        with pytest.raises(Tampered):
            unseal(bytes.fromhex(case["event_key"]), sealed, binding)
        # Who has the event key can make a commitment that fits: then it is the tag of AES-GCM that refuses.
        keys = hkdf_expand(bytes.fromhex(case["event_key"]), prefixed(b"ck1/keys"), 64)
        commitment = hmac.digest(keys[32:], prefixed(b"ck1/commitment", changed, sealed.nonce), "sha256")
        with pytest.raises(Tampered, match="authentication"):
            unseal(bytes.fromhex(case["event_key"]), replace(sealed, commitment=commitment), binding)
        tried += 1

    assert tried == len(case["associated_data"]) // 2 == 124


@pytest.mark.parametrize("case", CASES)
def test_it_does_not_open_with_any_byte_of_the_sealed_value_changed(case):
    binding, _ = place_of(case)
    body = case["sealed"].removeprefix("ck1.")
    raw, tried = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), 0

    for changed in flipped(raw):
        text = "ck1." + base64.urlsafe_b64encode(changed).decode().rstrip("=")
        with pytest.raises(Tampered):
            unseal(bytes.fromhex(case["event_key"]), SealedValue.parse(text), binding)
        tried += 1

    assert tried == 1 + 16 + 12 + case["class"] + 16 + 32


@pytest.mark.parametrize("case", CASES)
def test_it_does_not_open_with_any_letter_of_the_text_changed_left_out_or_added(case):
    binding, _ = place_of(case)
    text, tried = case["sealed"], 0
    for number, letter in enumerate(text):
        other = "A" if letter != "A" else "B"
        for changed in (text[:number] + other + text[number + 1 :], text[:number] + text[number + 1 :], text[:number]):
            with pytest.raises(Tampered):
                unseal(bytes.fromhex(case["event_key"]), SealedValue.parse(changed), binding)
            tried += 1
        with pytest.raises(Tampered):
            unseal(bytes.fromhex(case["event_key"]), SealedValue.parse(text[:number] + "A" + text[number:]), binding)

    assert tried == 3 * len(text)
