"""The client: publishes commands on the inbox and waits for their outcomes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError

from casekeeper_client.commands import Commands, Identifier
from casekeeper_client.errors import NotPublished
from casekeeper_client.inbox_key import InboxKey
from casekeeper_client.opening import opened
from casekeeper_client.outcome_keys import OutcomeKeys, Source, beside
from casekeeper_client.outcome_types import Outcome
from casekeeper_client.outcomes import Outcomes
from casekeeper_client.sealing import Signer

INBOX = "cases.inbox.v1"
OUTCOMES = "cases.outcomes.v1"
_CLOSE_SECONDS = 5.0


class Client(Commands):
    """One publishing service. Threads may share a client; close it, or use it in a ``with`` block.

    ``bootstrap``: Kafka's servers, comma-separated. ``inbox_key``: the service's current key as a JWK, or the address
    to fetch it from, which is done again as keys are replaced daily. ``publisher_id`` and ``private_key`` (a JWK): as
    registered. ``outcome_keys``: the keys that outcomes are signed with, as a JWK set, or the address of one or a call
    that returns one, asked again for a key that is not known; by default what is published beside the inbox key.
    Addresses should be ``https``: who answers there can answer as the service.
    ``actor``: who acts where a call does not say, an opaque identifier; the publisher itself by default.
    ``acknowledged_within``: seconds that Kafka has to take what is published. ``kafka``: further settings of
    kafka-python, as ``security_protocol``.

    Example::

        ids = client.publish_many([("open_case", {"subject_id": s, "kind": "second_opinion"}) for s in people])
        for outcome in client.wait_for_outcomes(ids, timeout=60):
            print(outcome.message_id, outcome)
    """

    def __init__(
        self,
        bootstrap: str,
        inbox_key: Mapping[str, str] | str,
        publisher_id: Identifier,
        private_key: Mapping[str, str],
        topic_prefix: str = "",
        *,
        outcome_keys: Source | None = None,
        actor: str | None = None,
        acknowledged_within: float = 30.0,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        """Connect. Raises ``InvalidKey``, ``InboxKeyUnavailable``, and kafka-python's errors when no server answers."""
        self._publisher_id = str(UUID(str(publisher_id)))
        self._actor = actor or self._publisher_id
        self._signer = Signer(self._publisher_id, private_key)
        self._inbox_key = InboxKey(inbox_key)
        keys = OutcomeKeys(beside(inbox_key) if outcome_keys is None else outcome_keys)
        self._key_lock = threading.Lock()
        self._topic = f"{topic_prefix}{INBOX}"
        self._acknowledged_within = acknowledged_within
        servers = bootstrap.split(",")
        options = dict(kafka or {})
        self._outcomes = Outcomes(servers, f"{topic_prefix}{OUTCOMES}", self._publisher_id, keys, options)
        try:
            self._producer = opened(
                KafkaProducer,
                bootstrap_servers=servers,
                enable_idempotence=True,
                acks="all",
                linger_ms=2,
                allow_auto_create_topics=False,
                **options,
            )
        except BaseException:
            self._outcomes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def passed_over(self) -> int:
        """Return how many records were met on the outcomes topic that are no outcomes, or forged ones of ours."""
        return self._outcomes.passed_over

    def publish(
        self,
        command: str,
        data: Mapping[str, Any],
        *,
        purpose: str = "intake",
        actor: str | None = None,
        message_id: Identifier | None = None,
    ) -> str:
        """Publish one command; return its message id once Kafka has it.

        ``data``: the HTTP body, with the identifiers HTTP takes from the path. ``purpose``: ``intake``, or ``rights``
        where the service speaks for the person. With a ``message_id`` that was used before, the same message is
        published again: it is carried out once all the same, and its outcome comes again.

        Raises ``NotPublished``, ``MessageTooLarge``, ``InboxKeyUnavailable``.
        """
        identifier = str(UUID(str(message_id))) if message_id else str(uuid4())
        self._send([(identifier, self._message(identifier, command, data, purpose, actor))])
        return identifier

    def publish_many(
        self,
        commands: Iterable[tuple[str, Mapping[str, Any]]],
        *,
        purpose: str = "intake",
        actor: str | None = None,
        message_ids: Sequence[Identifier] | None = None,
    ) -> list[str]:
        """Publish many commands, (name, data) each, and return their message ids once Kafka has them all.

        ``message_ids``: as many as there are commands, for messages that may have been published before. Raises
        ``NotPublished``, naming those that Kafka did not acknowledge; ``MessageTooLarge`` before any is sent.
        """
        messages = []
        for number, (command, data) in enumerate(commands):
            identifier = str(UUID(str(message_ids[number]))) if message_ids else str(uuid4())
            messages.append((identifier, self._message(identifier, command, data, purpose, actor)))
        self._send(messages)
        return [identifier for identifier, _ in messages]

    def wait_for_outcome(self, message_id: Identifier, timeout: float = 30.0) -> Outcome:
        """Return what became of a message this client has published; ``timeout`` in seconds. Raises ``NoOutcome``.

        Only what the service signed counts; where that cannot be told now it is ``OutcomeKeysUnavailable``. Without an
        outcome the message can be published again with the same id: say, the service could not read it because its
        inbox key was replaced meanwhile.
        """
        return self.wait_for_outcomes([message_id], timeout)[0]

    def wait_for_outcomes(self, message_ids: Iterable[Identifier], timeout: float = 30.0) -> list[Outcome]:
        """Return what became of several messages, in the order given. Raises ``NoOutcome`` naming those still open."""
        return self._outcomes.wait([str(message_id) for message_id in message_ids], timeout)

    def close(self) -> None:
        """Close the connections; what Kafka has not acknowledged by then may be lost."""
        self._outcomes.close()
        try:
            self._producer.close(timeout=_CLOSE_SECONDS)
        except KafkaError:
            # Already said by NotPublished to whoever published it.
            return

    def _message(
        self, identifier: str, command: str, data: Mapping[str, Any], purpose: str, actor: str | None
    ) -> bytes:
        with self._key_lock:
            key = self._inbox_key.current()
        content = {
            "message_id": identifier,
            "command": command,
            "actor": actor or self._actor,
            "purpose": purpose,
            "data": dict(data),
        }
        return self._signer.seal(content, key)

    def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        sent: list[tuple[str, Any]] = []
        try:
            for identifier, value in messages:
                self._outcomes.expect(identifier, value)
                sent.append((identifier, self._producer.send(self._topic, key=identifier.encode(), value=value)))
            self._producer.flush(timeout=self._acknowledged_within)
        except KafkaError:
            pass
        taken = {identifier for identifier, future in sent if future.is_done and future.succeeded()}
        if lost := [identifier for identifier, _ in messages if identifier not in taken]:
            raise NotPublished(lost)
