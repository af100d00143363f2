"""A client gets the outcome that the service signed, and no other, whatever strangers put on the topic of outcomes."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hostile import COMPRESSIBLE, MARK, NotUtf8, Stranger
from kafka.errors import KafkaTimeoutError
from publishing import Answers, Publisher, answered, outcome_keys, registered_client, taking
from raw_batches import LZ4, batch, put
from raw_batches import record as raw
from test_hostile_batches import MIB, ON_EVENTS, packed

from application import signing_keys
from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from casekeeper_client import Accepted, Client, Rejected
from casekeeper_client import outcome_keys as client_keys
from consumers.topics import OUTCOMES
from tests.outcome_tokens import header_of, keys_as_secrets, parts, public_jwk, token, unb64
from tests.topic_settings import set_topic
from tests.waiting import until

PERSON = BODIES["register_subject"]
_CLIENT = """
import json, sys
from casekeeper_client.outcome_keys import OutcomeKeys
from casekeeper_client.outcomes import Outcomes
kafka, topic, publisher_id, message_id, message, keys = sys.argv[1:]
waiting = Outcomes(kafka.split(","), topic, publisher_id, OutcomeKeys(json.loads(keys)), {})
waiting.expect(message_id, message.encode())
print("ready", flush=True)
print(type(waiting.wait([message_id], 60)[0]).__name__, flush=True)
waiting.close()
"""


def test_it_gets_its_outcome(service: Service, settings: Settings, publisher: Publisher) -> None:
    message_id = str(uuid4())
    head = {"message_id": message_id, "command": "register_subject", "actor": "forms-1", "purpose": "intake"}
    message = publisher.seal({**head, "data": PERSON})
    arguments = [settings.kafka, settings.topic(OUTCOMES), publisher.id, message_id, message.decode()]
    process = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, *arguments, json.dumps(outcome_keys(service))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        forged = {"message_id": [message_id], "publisher_id": publisher.id, "status": "accepted", "answer": {}}
        stranger = Stranger(settings, compression_type="lz4")
        for partition in range(4):
            for value in (None, b"", MARK.encode(), b"[" * 100_000, json.dumps(forged).encode(), b"x" * 8_000_000):
                stranger.put(OUTCOMES, value, message_id.encode(), partition=partition)
            stranger.put(OUTCOMES, COMPRESSIBLE, None, [(NotUtf8("name"), b"")], partition)
        stranger.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        publisher.put(message, message_id)
        with taking(service, settings):
            said, errors = process.communicate(timeout=70)
    finally:
        process.kill()
        process.wait()

    assert said == "Accepted\n", errors[-500:]


@pytest.mark.parametrize("name", ["another checksum", "a frame of 2^60 bytes", "half a million headers"])
def test_it_gets_its_outcome_past_a_batch_that_cannot_be_read(service: Service, settings: Settings, name: str) -> None:
    with registered_client(service, settings) as client:
        for partition in range(4):
            put(settings.kafka, settings.topic(OUTCOMES), ON_EVENTS[name], partition)
        message_id = client.publish("register_subject", PERSON)
        with taking(service, settings):
            told = client.wait_for_outcome(message_id, 70)

    assert isinstance(told, Accepted)


SNAPPY = 2


def of_a_codec_we_lack(content: bytes) -> bytes:
    """Return a batch as Snappy packs a few bytes: their number, then one literal."""
    assert len(content) <= 60
    return batch(bytes([len(content), len(content) - 1 << 2]) + content, codec=SNAPPY)


def test_it_gets_its_outcome_past_what_cannot_be_opened_when_kafka_answers_again(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a topic that keeps batches as they come, which an administrator can have set."""
    set_topic(settings.kafka, settings.topic(OUTCOMES), compression_type="producer")
    with registered_client(service, settings) as client:
        ends, asked = client._outcomes._consumer.end_offsets, []

        def away_once(*arguments: Any, **options: Any) -> Any:
            asked.append(time.monotonic())
            if len(asked) == 1:
                raise KafkaTimeoutError
            return ends(*arguments, **options)

        monkeypatch.setattr(client._outcomes._consumer, "end_offsets", away_once)
        put(settings.kafka, settings.topic(OUTCOMES), of_a_codec_we_lack(raw()))
        until(lambda: len(asked) >= 2, 10, "the ends are asked for again")
        message_id = client.publish("register_subject", PERSON)
        with taking(service, settings):
            told = client.wait_for_outcome(message_id, 30)

    assert isinstance(told, Accepted)
    assert asked[1] - asked[0] >= 0.2, "with a pause"


CLIENT = Path(__file__).with_name("client_measured.py")


def test_claims_that_cannot_be_verified_take_no_more_memory_than_is_said(settings: Settings) -> None:
    """300 of them, nearly 128 kB each on the topic and 24,000 objects once they are parsed."""
    ours, publisher_id, first, second = Ed25519PrivateKey.generate(), *(str(uuid4()) for _ in range(3))
    about = {"publisher_id": publisher_id, "message_sha256": hashlib.sha256(b"message").hexdigest()}
    answer = {"status": "accepted", "answer": {"receipt": {"position": 1}}}
    many = {**answer["answer"], "x": [{}] * 23_900}
    claim = token(header_of("unknown"), {**about, **answer, "message_id": first, "answer": many}, THEIRS.sign)
    genuine = token(header_of("k1"), {**about, **answer, "message_id": second}, ours.sign)
    topic, jwks = settings.topic(OUTCOMES), json.dumps({"keys": [public_jwk(ours, "k1")]})
    process = subprocess.Popen(
        [sys.executable, str(CLIENT), settings.kafka, topic, jwks, publisher_id, "message", first, second],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        for _ in range(30):
            content = b"".join(raw(claim, delta=number) for number in range(10))
            put(settings.kafka, topic, batch(packed(content), 10, codec=LZ4))
        put(settings.kafka, topic, batch(packed(raw(genuine)), codec=LZ4))
        told, errors = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, errors[-500:]
    said = json.loads(told)
    assert 120_000 < len(claim) < 129_000
    assert said["told"] == "Accepted"
    assert said["passed_over"] == 300
    assert 31 * MIB < (300 - said["dropped"]) * len(claim) <= 32 * MIB
    assert said["grown"] < 96 * MIB


@dataclass
class Scene:
    """A client that waits for what will be refused, and a stranger who would have it told otherwise."""

    service: Service
    settings: Settings
    client: Client
    answers: Answers
    stranger: Stranger

    @property
    def kid(self) -> str:
        return str(outcome_keys(self.service)["keys"][0]["kid"])

    def ask(self) -> tuple[str, dict[str, Any]]:
        """Publish what will be refused; return its id, and a lie about it."""
        message_id = self.client.open_case(uuid4(), "second_opinion")
        return message_id, self.answers.lie(self.client, message_id)

    def put(self, message_id: str, *values: bytes) -> None:
        """Put records where the client reads them, in every partition, before the service has answered."""
        for partition in range(4):
            for value in values:
                self.stranger.put(OUTCOMES, value, message_id.encode(), partition=partition)

    def told(self, message_id: str) -> Any:
        """Let the service answer; return what the client tells."""
        with taking(self.service, self.settings):
            return self.client.wait_for_outcome(message_id, 60)

    def genuine(self, message_id: str) -> list[bytes]:
        """Return what the service answered to a message."""
        return [message.value for message in self.answers.signed() if message.key == message_id.encode()]


@pytest.fixture
def scene(service: Service, settings: Settings, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(client_keys, "PAUSE_SECONDS", 0.5)
    stranger = Stranger(settings)
    with registered_client(service, settings) as client:
        yield Scene(service, settings, client, answers, stranger)
    stranger.close()


THEIRS = Ed25519PrivateKey.generate()
Forge = Callable[[Scene, dict[str, Any]], list[bytes]]


def _as_a_mac(scene: Scene, lie: dict[str, Any]) -> list[bytes]:
    [jwk, *_] = outcome_keys(scene.service)["keys"]
    return [
        token(header_of(jwk["kid"], alg="HS256"), lie, lambda signed, key=key: hmac.digest(key, signed, "sha256"))
        for key in keys_as_secrets(jwk).values()
    ]


FORGED: dict[str, Forge] = {
    "in clear": lambda _, lie: [json.dumps(lie).encode()],
    "under a key of their own": lambda _, lie: [token(header_of("k1"), lie, THEIRS.sign)],
    "under a key of their own with our name": lambda scene, lie: [token(header_of(scene.kid), lie, THEIRS.sign)],
    "with a key of their own in it": lambda scene, lie: [
        token(header_of(scene.kid, jwk=public_jwk(THEIRS, scene.kid)), lie, THEIRS.sign)
    ],
    "with alg none": lambda scene, lie: [token(header_of(scene.kid, alg="none"), lie, lambda _: b"")],
    "with our public key as the secret of a MAC": _as_a_mac,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_well_formed_forgery_is_passed_over_and_counted(scene: Scene, forge: Forge) -> None:
    message_id, lie = scene.ask()
    forged = forge(scene, lie)
    scene.put(message_id, *forged)
    told = scene.told(message_id)

    assert isinstance(told, Rejected), told
    assert told.problem["type"] == "urn:casekeeper:problem:not-found"
    until(lambda: scene.client.passed_over == 4 * len(forged), 10, "every forgery is counted")


def test_what_was_answered_to_another_message_is_no_answer(scene: Scene) -> None:
    other = scene.client.publish("register_subject", PERSON)
    assert isinstance(scene.told(other), Accepted)
    [said] = scene.genuine(other)
    header, payload, signature = said.split(b".")
    message_id, lie = scene.ask()
    renamed = token(parts(said)[0], {**parts(said)[1], "message_id": message_id}, lambda _: parts(said)[2])
    lied = token(parts(said)[0], lie, lambda _: parts(said)[2])
    scene.put(message_id, said, renamed, lied, b".".join((header, payload, signature[:-4] + b"AAAA")))

    assert isinstance(scene.told(message_id), Rejected)


def test_what_was_answered_to_another_publisher_under_the_same_id_is_no_answer(
    scene: Scene, publisher: Publisher
) -> None:
    message_id = publisher.send("register_subject", PERSON)
    with taking(scene.service, scene.settings):
        [accepted] = answered(scene.answers, message_id)
    of_other = scene.genuine(message_id)
    unknown = {"subject_id": str(uuid4()), "kind": "second_opinion"}
    scene.client.publish("open_case", unknown, message_id=message_id)
    scene.put(message_id, *of_other)

    assert (accepted["publisher_id"], accepted["status"]) == (publisher.id, "accepted")
    assert isinstance(scene.told(message_id), Rejected)


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        ({}, {"publisher_id": str(uuid4())}),
        ({}, {"message_id": str(uuid4())}),
        ({}, {"message_sha256": "0" * 64}),
        ({"typ": "casekeeper-certificate+jws"}, {}),
    ],
    ids=["to another", "of another message", "to another record", "of another type"],
)
def test_what_the_service_signed_is_no_answer_where_one_thing_differs(
    scene: Scene, header: dict[str, str], changes: dict[str, str]
) -> None:
    message_id, lie = scene.ask()
    key = signing_keys.current_key(scene.service.vault, scene.service.clock(), signing_keys.OUTCOMES)
    ours = Ed25519PrivateKey.from_private_bytes(unb64(key.as_dict(private=True)["d"]))
    scene.put(message_id, token(header_of(scene.kid, **header), {**lie, **changes}, ours.sign))
    told = scene.told(message_id)
    other, lie = scene.ask()
    scene.put(other, token(header_of(scene.kid), lie, ours.sign))

    assert isinstance(told, Rejected)
    assert isinstance(scene.told(other), Accepted), "with nothing changed it would have been believed"


def test_what_was_answered_to_the_same_message_before_it_was_published_again_is_no_answer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours is answered and not remembered: once it is mended, the same message is carried out."""
    with monkeypatch.context() as patch:
        patch.setattr(Service, "execute", lambda *_, **__: 1 / 0)
        message_id = scene.client.publish("register_subject", PERSON)
        first = scene.told(message_id)
    before = scene.genuine(message_id)
    scene.client.publish("register_subject", PERSON, message_id=message_id)
    scene.put(message_id, *before)
    second = scene.told(message_id)

    assert (type(first), first.problem["status"]) == (Rejected, 500)
    assert isinstance(second, Accepted)
