"""The keys that outcomes are verified with: which are taken, for how long, and how often they are asked for."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from casekeeper_client import InvalidKey, outcome_keys
from casekeeper_client.fetching import Unfetched
from casekeeper_client.outcome_keys import OutcomeKeys, beside
from tests.outcome_tokens import public_jwk

ONE, TWO = (public_jwk(Ed25519PrivateKey.generate(), kid) for kid in ("k1", "k2"))


class Asked:
    """Gives what it is told to, and counts how often it was asked."""

    def __init__(self, *keys: Any) -> None:
        self.gives: Any = {"keys": list(keys)}
        self.times = 0

    def __call__(self) -> Any:
        self.times += 1
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


def test_keys_that_are_given_are_known_for_good() -> None:
    keys = OutcomeKeys({"keys": [ONE, TWO]})

    assert keys.find("k1").as_dict()["x"] == ONE["x"]
    assert keys.find("k3") is None
    assert keys.renew()
    assert keys.find("k3") is None


def test_keys_of_another_kind_are_left_out() -> None:
    agreed = {**ONE, "crv": "X25519", "kid": "agreed"}
    keys = OutcomeKeys({"keys": [{"kty": "oct", "k": "AAAA", "kid": "mac"}, agreed, "x", {**ONE, "kid": 5}, TWO]})

    assert [keys.find(kid) is not None for kid in ("mac", "agreed", "k1", "k2")] == [False, False, False, True]


@pytest.mark.parametrize(
    "source",
    ["ftp://x/keys", "keys.json", {}, {"keys": []}, {"keys": {}}, {"keys": [{**ONE, "x": "AA"}]}, {"keys": [{}]}],
)
def test_what_is_no_key_is_refused(source: Any) -> None:
    with pytest.raises(InvalidKey):
        OutcomeKeys(source)


def test_a_key_that_is_not_known_is_asked_for_once_in_a_while() -> None:
    ask = Asked(ONE)
    keys = OutcomeKeys(ask)
    before, renewed = keys.find("k1"), keys.renew()
    ask.gives = {"keys": [TWO, ONE]}

    assert (before, renewed) == (None, True)
    assert keys.find("k1") is not None
    assert [keys.renew() for _ in range(1_000)] == [False] * 1_000
    assert ask.times == 1


def test_after_the_pause_a_new_key_is_found_and_one_given_up_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_keys, "PAUSE_SECONDS", 0.0)
    ask = Asked(ONE)
    keys = OutcomeKeys(ask)
    keys.renew()
    ask.gives = {"keys": [TWO]}
    keys.renew()

    assert (keys.find("k1"), keys.find("k2") is not None) == (None, True)


@pytest.mark.parametrize("answer", [OSError(), RuntimeError("any"), {}, {"keys": []}, None, [ONE], "x"])
def test_what_gives_no_keys_is_an_outage_and_is_left_in_peace_for_as_long(answer: Any) -> None:
    ask = Asked()
    ask.gives = answer
    keys = OutcomeKeys(ask)
    with pytest.raises(Unfetched):
        keys.renew()

    assert keys.renew() is False
    assert ask.times == 1


def test_keys_had_too_long_ago_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_keys, "TRUSTED_SECONDS", 0.0)
    keys = OutcomeKeys(Asked(ONE))
    keys.renew()

    assert keys.find("k1") is None


def test_nobody_at_the_address_is_an_outage() -> None:
    with pytest.raises(Unfetched):
        OutcomeKeys("http://127.0.0.1:9/v1/outcome-keys").renew()


def test_without_more_they_are_beside_the_inbox_key() -> None:
    assert beside("https://casekeeper.example/v1/inbox-key") == "https://casekeeper.example/v1/outcome-keys"
    with pytest.raises(InvalidKey):
        beside({"kty": "OKP"})
