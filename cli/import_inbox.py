"""The importer's way to the service: the Kafka inbox, and what the service remembers of earlier messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import click

from application import inbox_keys, signing_keys
from application.service import Service
from application.settings import Settings
from casekeeper_client import Accepted, Client, NoOutcome, NotPublished
from cli.fhir.publishing import Said
from cli.first_answers import answered_to_message
from cli.own_publisher import own_publisher
from domain.errors import KafkaUnavailable

PUBLISHER = "fhir-import"
"""The service name under which an import publishes."""

_ATTEMPTS = 5
_WAIT_SECONDS = 60.0


class KafkaInbox:
    """Publishes as a registered service and waits for outcomes. Threads may share one."""

    def __init__(self, service: Service, client: Client) -> None:
        self._service = service
        self._client = client

    def before(self, message_id: UUID) -> Said | None:
        """Return what was answered to this message earlier, if it was ever handled."""
        found = answered_to_message(self._service, PUBLISHER, message_id)
        if found is None:
            return None
        return Said(found.body) if found.accepted else _problem(found.body["problem"])

    def send(self, messages: Sequence[tuple[UUID, str, Mapping[str, Any]]]) -> list[Said]:
        """Publish messages (id, command, data) and return their outcomes in that order.

        What is not answered in a minute is published again, which is safe. Raises ``KafkaUnavailable`` when there is no
        answer after five times.
        """
        waiting = {str(message_id): (command, data) for message_id, command, data in messages}
        said: dict[str, Said] = {}
        for _ in range(_ATTEMPTS):
            open_ = [message_id for message_id in waiting if message_id not in said]
            if not open_:
                break
            try:
                self._client.publish_many([waiting[message_id] for message_id in open_], message_ids=open_)
                said |= self._outcomes(open_, _WAIT_SECONDS)
            except NotPublished:
                continue
            except NoOutcome as error:
                answered = [message_id for message_id in open_ if message_id not in error.message_ids]
                said |= self._outcomes(answered, 1.0)
        else:
            if len(said) < len(waiting):
                raise click.ClickException("the service answers nothing on the inbox: is a worker running?")
        return [said[str(message_id)] for message_id, _, _ in messages]

    def _outcomes(self, message_ids: Sequence[str], timeout: float) -> dict[str, Said]:
        outcomes = self._client.wait_for_outcomes(message_ids, timeout)
        return {o.message_id: Said(o.answer) if isinstance(o, Accepted) else _problem(o.problem) for o in outcomes}


@contextmanager
def kafka_inbox(settings: Settings, service: Service) -> Iterator[KafkaInbox]:
    """Open the inbox as a publisher of our own, registered at first use.

    Raises ``StoreUnavailable``, ``KeysUnavailable``, ``KafkaUnavailable``.
    """
    publisher = own_publisher(service, PUBLISHER)
    key = inbox_keys.current_jwk(service.vault, service.clock())
    try:
        client = Client(
            settings.kafka,
            key,
            publisher.id,
            publisher.private_key,
            settings.topic_prefix,
            outcome_keys=lambda: {
                "keys": signing_keys.public_keys(service.vault, service.clock(), signing_keys.OUTCOMES)
            },
            actor=PUBLISHER,
            kafka=settings.brokers.security(),
        )
    except Exception as error:
        if not type(error).__module__.startswith("kafka"):
            raise
        raise KafkaUnavailable(f"Kafka: {type(error).__name__}") from None
    with client:
        yield KafkaInbox(service, client)


def _problem(problem: Mapping[str, Any]) -> Said:
    fields = tuple(str(error["field"]) for error in problem.get("errors", ()))
    return Said(None, str(problem["type"]).rpartition(":")[2], fields)
