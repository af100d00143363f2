"""Sealed values of format 1, computed by ``tests/vectors/sealed_v1.py`` without the vault's code."""

import json
import runpy
from pathlib import Path
from uuid import UUID

import pytest

from domain.errors import Tampered
from domain.sealed import Binding
from vault import sealing
from vault.primitives import SecretKey
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
