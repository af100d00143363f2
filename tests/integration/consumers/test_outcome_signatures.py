"""Outcomes are signed by the service, and clients follow it from key to key, without asking it too often."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hostile import Stranger
from listening_api import ListeningApi, listening
from publishing import Answers, Publisher, answered, outcome_keys, registered_client, taking

from application import signing_keys
from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from casekeeper_client import Accepted, Client, NoOutcome, OutcomeKeysUnavailable
from casekeeper_client import outcome_keys as client_keys
from consumers.outcomes import KEY_KEPT, KEY_LIFE
from consumers.topics import OUTCOMES
from domain.errors import KeysUnavailable
from tests.outcome_tokens import header_of, token, unb64
from tests.waiting import until

PERSON = BODIES["register_subject"]


@pytest.fixture
def api(service: Service, settings: Settings) -> Iterator[ListeningApi]:
    with listening(service, settings) as made:
        yield made


@pytest.fixture
def client(service: Service, settings: Settings, api: ListeningApi) -> Iterator[Client]:
    with registered_client(service, settings, api.inbox_key) as made:
        yield made


def asked(api: ListeningApi) -> int:
    """Return how often the outcomes' keys were asked for."""
    return api.calls["/v1/outcome-keys"]


def test_anybody_can_verify_an_outcome_with_the_published_key(
    service: Service, settings: Settings, publisher: Publisher, answers: Answers
) -> None:
    """With the primitives alone: RFC 7515, RFC 8037, RFC 7638."""
    message_id = str(uuid4())
    head = {"message_id": message_id, "command": "register_subject", "actor": "forms-1", "purpose": "intake"}
    message = publisher.seal({**head, "data": PERSON})
    publisher.put(message, message_id)
    with taking(service, settings):
        [outcome] = answered(answers, message_id)
    [record] = answers.signed()
    signed, _, signature = record.value.rpartition(b".")
    header, payload = (json.loads(unb64(part)) for part in signed.decode().split("."))
    [jwk] = [key for key in outcome_keys(service)["keys"] if key["kid"] == header["kid"]]
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{jwk["x"]}"}}'.encode()
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))

    public.verify(unb64(signature.decode()), signed)
    assert header == {"alg": "EdDSA", "kid": header["kid"], "typ": "casekeeper-outcome+jws"}
    assert header["kid"] == base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    assert payload == {**outcome, "message_sha256": hashlib.sha256(message).hexdigest()}
    assert (payload["publisher_id"], payload["message_id"]) == (publisher.id, message_id)
    assert "d" not in jwk


def test_a_client_follows_the_service_to_a_new_key(
    service: Service, settings: Settings, api: ListeningApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_keys, "PAUSE_SECONDS", 2.0)
    with taking(service, settings):
        first = client.wait_for_outcome(client.publish("register_subject", PERSON))
        signing_keys.rotate(service.vault, service.clock(), signing_keys.OUTCOMES)
        # Under a new key just after keys were asked for: it is held until they may be asked for again.
        second = client.wait_for_outcome(client.publish("register_subject", PERSON))
        third = client.wait_for_outcome(client.publish("register_subject", PERSON))

    assert [type(outcome) for outcome in (first, second, third)] == [Accepted] * 3
    assert asked(api) == 2


def test_keys_that_strangers_name_make_nobody_ask_more_often(
    service: Service,
    settings: Settings,
    api: ListeningApi,
    client: Client,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_keys, "PAUSE_SECONDS", 2.0)
    message_id = client.publish("register_subject", PERSON)
    lie = answers.lie(client, message_id)
    stranger, theirs, put = Stranger(settings), Ed25519PrivateKey.generate(), 0
    began = time.monotonic()
    while time.monotonic() < began + 5:
        stranger.put(OUTCOMES, token(header_of(f"k{put}"), lie, theirs.sign), message_id.encode(), partition=put % 4)
        put += 1
    with pytest.raises(NoOutcome) as none:
        client.wait_for_outcome(message_id, 0.1)
    seconds = time.monotonic() - began
    stranger.close()
    with taking(service, settings):
        outcome = client.wait_for_outcome(message_id)

    assert put > 50
    assert none.type is NoOutcome
    assert 1 <= asked(api) <= 1 + seconds / 2
    assert isinstance(outcome, Accepted)
    assert outcome.position > 1
    until(lambda: client.passed_over == put, 10, "every forgery is counted")


def test_an_api_that_is_away_when_a_key_is_needed_is_an_outage_that_ends(
    service: Service, settings: Settings, api: ListeningApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_keys, "PAUSE_SECONDS", 0.5)
    with taking(service, settings):
        message_id = client.publish("register_subject", PERSON)
        api.stop()
        with pytest.raises(OutcomeKeysUnavailable) as away:
            client.wait_for_outcome(message_id, 3)
        api.start()
        outcome = client.wait_for_outcome(message_id)

    assert away.value.message_ids == (message_id,)
    assert isinstance(away.value, NoOutcome)
    assert isinstance(outcome, Accepted)


def test_a_key_that_the_service_gave_up_stops_counting(
    service: Service,
    settings: Settings,
    api: ListeningApi,
    client: Client,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a theft: its secret is destroyed, and clients believe it no longer than they keep keys."""
    monkeypatch.setattr(client_keys, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(client_keys, "TRUSTED_SECONDS", 1.0)
    stolen = signing_keys.current_key(service.vault, service.clock(), signing_keys.OUTCOMES)
    with taking(service, settings):
        client.wait_for_outcome(client.publish("register_subject", PERSON))
    signing_keys.rotate(service.vault, service.clock(), signing_keys.OUTCOMES)
    for name in [name for name in service.vault.secrets() if name.startswith("outcome-key-")][:-1]:
        service.vault.destroy_secret(name)
    time.sleep(1.0)
    message_id = client.publish("open_case", {"subject_id": str(uuid4()), "kind": "second_opinion"})
    lie = answers.lie(client, message_id)
    private = Ed25519PrivateKey.from_private_bytes(unb64(stolen.as_dict(private=True)["d"]))
    stranger = Stranger(settings)
    stranger.put(OUTCOMES, token(header_of(stolen.thumbprint()), lie, private.sign), message_id.encode())
    stranger.close()
    with pytest.raises(NoOutcome):
        client.wait_for_outcome(message_id, 3)

    assert client.passed_over == 1


def test_a_key_that_cannot_be_read_holds_the_message_and_its_effect_is_one(
    service: Service, settings: Settings, publisher: Publisher, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = service.log.head()
    message_id = publisher.send("register_subject", PERSON)
    away = {"away": True}
    secret = type(service.vault).secret

    def unreachable(vault: object, name: str) -> bytes:
        if away["away"] and name.startswith("outcome-key-"):
            raise KeysUnavailable("the keyring is away")
        return secret(vault, name)

    monkeypatch.setattr(type(service.vault), "secret", unreachable)
    with taking(service, settings) as part:
        until(lambda: part.said.code == "KeysUnavailable")
        held = answers.committed(), answers.outcomes(), answers.dead_letters(), service.log.head() - before
        away["away"] = False
        [outcome] = answered(answers, message_id)

    assert held == (0, {}, [], 2)
    assert outcome["status"] == "accepted"
    assert service.log.head() - before == 2


def test_keys_are_replaced_by_the_month_and_kept_for_what_they_signed(service: Service) -> None:
    vault, kind = service.vault, "sample"
    start = service.clock()

    def at(moment: timedelta) -> tuple[list[str], list[str]]:
        gone = signing_keys.replace(vault, start + moment, kind, KEY_LIFE, KEY_KEPT)
        return gone, [key["kid"] for key in signing_keys.public_keys(vault, start + moment, kind)]

    (_, [first]), (_, unchanged) = at(timedelta()), at(KEY_LIFE)
    _, both = at(KEY_LIFE + timedelta(seconds=1))
    kept, still = at(KEY_LIFE + timedelta(days=8, minutes=59))
    gone, [last] = at(KEY_LIFE + timedelta(days=8, hours=1, seconds=2))

    assert unchanged == [first]
    assert (both[1], len(both)) == (first, 2)
    assert (kept, still) == ([], both)
    assert (len(gone), last) == (1, both[0])
    assert timedelta(days=7 + 1) < KEY_KEPT < KEY_LIFE
