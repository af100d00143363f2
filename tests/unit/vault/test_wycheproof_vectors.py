"""Published vectors, run against the very functions the vault seals with."""

import json
from collections import Counter
from pathlib import Path

import pytest

from domain.errors import Tampered
from vault.primitives import decrypt, encrypt, hkdf_expand, hkdf_extract

VECTORS = Path(__file__).parents[2] / "vectors"


def cases(name):
    tests = json.loads((VECTORS / name).read_text())["tests"]
    assert tests
    return [pytest.param(test, id=f"tc{test['tcId']}") for test in tests]


def test_the_files_are_whole():
    """Every case of the files is run above and below: as many as the files' README says were taken over."""
    counts = {name: len(cases(f"wycheproof_{name}.json")) for name in ("aes_256_gcm", "hkdf_sha256")}
    results = {name: Counter(case.values[0]["result"] for case in cases(f"wycheproof_{name}.json")) for name in counts}
    print(counts, {name: dict(found) for name, found in results.items()})

    assert counts == {"aes_256_gcm": 66, "hkdf_sha256": 86}
    assert all(found["valid"] and found["invalid"] for found in results.values())


def bytes_of(case, *names):
    return [bytes.fromhex(case[name]) for name in names]


@pytest.mark.parametrize("case", cases("wycheproof_aes_256_gcm.json"))
def test_aes_256_gcm(case):
    key, iv, aad, message, ciphertext, tag = bytes_of(case, "key", "iv", "aad", "msg", "ct", "tag")

    if case["result"] == "valid":
        assert encrypt(key, iv, message, aad) == ciphertext + tag
        assert decrypt(key, iv, ciphertext + tag, aad) == message
    else:
        with pytest.raises(Tampered):
            decrypt(key, iv, ciphertext + tag, aad)


@pytest.mark.parametrize("case", cases("wycheproof_hkdf_sha256.json"))
def test_hkdf_sha256(case):
    key, salt, info, expected = bytes_of(case, "ikm", "salt", "info", "okm")

    if case["result"] == "valid":
        assert hkdf_expand(hkdf_extract(key, salt), info, case["size"]) == expected
    else:
        with pytest.raises(ValueError, match="larger than 8160"):
            hkdf_expand(hkdf_extract(key, salt), info, case["size"])
