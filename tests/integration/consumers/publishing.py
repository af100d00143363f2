"""A publishing service, written with JOSE libraries alone, and what the tests of the inbox look at."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from joserfc import jwe, jws
from joserfc.jwk import OKPKey
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from log_copy import everything, running

from application import signing_keys
from application.caller import Caller
from application.inbox_keys import current_jwk
from application.service import Service
from application.settings import Settings
from casekeeper_client import Client, new_key_pair
from consumers.clients import MAX_RECORD_BYTES
from consumers.inbox import Inbox
from consumers.inbox_handler import InboxHandler
from consumers.topics import DEADLETTERS, INBOX, INBOX_PARTITIONS, OUTCOMES
from tests.outcome_tokens import parts
from tests.waiting import until

OPERATOR = Caller("operators", "op1", frozenset({"operator"}), "operations", "cli", uuid4())


class Publisher:
    """A registered publisher, its key, and its messages."""

    def __init__(self, service: Service, settings: Settings, name: str = "forms") -> None:
        self.service = service
        self.settings = settings
        self.key = OKPKey.generate_key("Ed25519")
        body = {"service": name, "public_key": self.key.as_dict(private=False)["x"]}
        self.id = service.execute("register_publisher", OPERATOR, {}, body).body["id"]
        self._producer = KafkaProducer(bootstrap_servers=settings.kafka, max_request_size=MAX_RECORD_BYTES)

    def sign(self, payload: bytes, **header: Any) -> str:
        return jws.serialize_compact(
            {"alg": "EdDSA", "kid": self.id, **header}, payload, self.key, algorithms=["EdDSA"]
        )

    def encrypt(self, signed: str, **header: Any) -> str:
        jwk = current_jwk(self.service.vault, datetime.now(UTC))
        protected = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": jwk["kid"], **header}
        key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
        return jwe.encrypt_compact(protected, signed, key, algorithms=[protected["alg"], protected["enc"], "DEF"])

    def seal(self, message: Mapping[str, Any]) -> bytes:
        return self.encrypt(self.sign(json.dumps(message).encode())).encode()

    def put(self, value: bytes, key: str = "", partition: int | None = None) -> None:
        """Put bytes on the inbox."""
        topic = self.settings.topic(INBOX)
        self._producer.send(topic, key=key.encode(), value=value, partition=partition).get(timeout=10)

    def send(self, command: str, data: Mapping[str, Any], *, partition: int | None = None, **changes: Any) -> str:
        """Publish a command, with ``changes`` to the message. Return its id."""
        fields = {"message_id": str(uuid4()), "command": command, "actor": "forms-1", "purpose": "intake", "data": data}
        return self.send_message({**fields, **changes}, partition)

    def send_message(self, message: Mapping[str, Any], partition: int | None = None) -> str:
        self.put(self.seal(message), message["message_id"], partition)
        return message["message_id"]

    def close(self) -> None:
        self._producer.close(timeout=5)


class Answers:
    """The outcomes and the dead letters of a copy."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer = KafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)

    def outcomes(self) -> dict[str, list[dict[str, Any]]]:
        """Return message id → its outcomes, in the order of the topic, without the record that each is an answer to."""
        found = defaultdict(list)
        for message in self.signed():
            outcome = parts(message.value)[1]
            assert message.key.decode() == outcome["message_id"]
            del outcome["message_sha256"]
            found[outcome["message_id"]].append(outcome)
        return found

    def signed(self) -> list[Any]:
        """Return the records of the outcomes topic as they lie there."""
        return self._read(OUTCOMES, INBOX_PARTITIONS)

    def lie(self, client: Client, message_id: str) -> dict[str, Any]:
        """Return that a message was accepted, as whoever can read the inbox can write it."""
        records = self._read(INBOX, INBOX_PARTITIONS)
        [*_, message] = [record.value for record in records if record.key == message_id.encode()]
        lie = {"message_id": message_id, "publisher_id": client._publisher_id, "status": "accepted"}
        answer = {"id": str(uuid4()), "receipt": {"position": 1}}
        return {**lie, "message_sha256": hashlib.sha256(message).hexdigest(), "answer": answer}

    def dead_letters(self) -> list[Any]:
        return self._read(DEADLETTERS, 1)

    def committed(self) -> int:
        """Return how many messages the inbox's group has committed."""
        group = KafkaConsumer(bootstrap_servers=self._settings.kafka, group_id=self._settings.topic("casekeeper-inbox"))
        topic = self._settings.topic(INBOX)
        offsets = [group.committed(TopicPartition(topic, number)) or 0 for number in range(INBOX_PARTITIONS)]
        group.close(autocommit=False)
        return sum(offsets)

    def close(self) -> None:
        self._consumer.close()

    def _read(self, name: str, partitions: int) -> list[Any]:
        topic = self._settings.topic(name)
        return everything(self._consumer, *(TopicPartition(topic, number) for number in range(partitions)))


def outcome_keys(service: Service) -> dict[str, Any]:
    """Return what the service publishes its outcomes' keys as."""
    return {"keys": signing_keys.public_keys(service.vault, service.clock(), signing_keys.OUTCOMES)}


def registered_client(service: Service, settings: Settings, inbox_key: Any = None, **options: Any) -> Client:
    """Return a client of a newly registered publisher, which has the keys from the service itself unless told where."""
    private, public = new_key_pair()
    body = {"service": "web-forms", "public_key": public}
    publisher_id = service.execute("register_publisher", OPERATOR, {}, body).body["id"]
    if inbox_key is None:
        inbox_key = current_jwk(service.vault, datetime.now(UTC))
        options = {"outcome_keys": lambda: outcome_keys(service), **options}
    return Client(settings.kafka, inbox_key, publisher_id, private, settings.topic_prefix, actor="forms-1", **options)


def taking(service: Service, settings: Settings):
    """Run the inbox as the worker does."""
    return running("inbox", lambda report: Inbox(settings, InboxHandler(service), report).run)


def answered(answers: Answers, *message_ids: str, times: int = 1) -> list[dict[str, Any]]:
    """Wait for the outcomes of these messages and return the last of each."""

    def look() -> list[dict[str, Any]] | None:
        found = answers.outcomes()
        return [found[i][-1] for i in message_ids] if all(len(found[i]) >= times for i in message_ids) else None

    return until(look)


def registered(service: Service) -> int:
    """Return how many people the log has."""
    return sum(stored.type == "SubjectRegistered" for stored in service.log.read_from(1, 10_000))
