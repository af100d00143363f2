"""Carries out one message of the inbox: opens it, does its command once, and says what to answer."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from application import field_names, inbox_keys
from application.caller import Caller
from application.problems import describe
from application.service import Answer, Service, first_answer
from consumers import inbox_message, jose, outcomes
from consumers.dead_letters import DeadLetter
from consumers.inbox_message import Message
from domain import rules
from domain.errors import (
    AlreadyDone,
    CasekeeperError,
    ConcurrencyConflict,
    IdempotencyKeyReused,
    KeyringMismatch,
    NotFound,
    RetriableError,
    RuleRefused,
)

HELD: tuple[type[CasekeeperError], ...] = (RetriableError, KeyringMismatch)
"""What says nothing about a message, which is held: an outage, and a keyring that is not the one it belongs to."""

_PUBLISHER_CACHE_SECONDS = 2.0
_ATTEMPTS = 30
_PAUSE_SECONDS = 0.02
_REFUSED_SHAPE = "refused-message"
"""The operation under which a refusal is remembered when the message names none of ours."""
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Raw:
    """A record of the inbox topic as it came; ``source`` is ``topic/partition/offset``, ``sent`` the broker's time."""

    key: bytes | None
    value: bytes | None
    source: str
    sent: datetime


@dataclass(frozen=True)
class Outcome:
    """What is answered to a message, on the outcomes topic."""

    message_id: UUID
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Handled:
    """What became of a record: an outcome where its sender is known, a dead letter where it was not carried out."""

    outcome: Outcome | None = None
    dead_letter: DeadLetter | None = None


class InboxHandler:
    """Handles records one by one; to be shared by threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._publishers: dict[UUID, tuple[float, str, str]] = {}
        self._lock = threading.Lock()

    def handle(self, raw: Raw) -> Handled:
        """Return what became of a record. Raises what is in ``HELD``: then it must be handled again."""
        opened = False
        try:
            signed_token = jose.decrypt(raw.value or b"", lambda kid: self._private_key(kid, raw.sent))
            opened = True
            message = self._verified(signed_token)
        except HELD:
            raise
        except Exception as error:
            return Handled(dead_letter=_dead(raw, error, opened))
        return self._carry_out(message, raw)

    def signed(self, outcome: Outcome, raw: Raw) -> bytes:
        """Return an outcome as it is published, in answer to this record. Raises what is in ``HELD``."""
        return outcomes.signed(outcome.body, raw.value or b"", self._service.vault, self._service.clock())

    def _verified(self, signed_token: bytes) -> Message:
        signed = jose.verify(signed_token, lambda publisher_id: self._publisher(publisher_id)[1])
        return inbox_message.parse(signed.payload, signed.publisher_id, self._publisher(signed.publisher_id)[0])

    def _private_key(self, kid: str, sent: datetime) -> bytes | None:
        key = inbox_keys.private_key(self._service.vault, kid, sent, self._service.clock())
        if key is None:
            # A keyring of another moment or installation lacks it too, and says so when it is asked for the root key.
            self._service.vault.health()
        return key

    def _publisher(self, publisher_id: UUID) -> tuple[str, str]:
        """Return service and public key of a publisher. Raises ``RuleRefused`` when unknown or revoked."""
        with self._lock:
            known = self._publishers.get(publisher_id)
        if known is None or time.monotonic() - known[0] > _PUBLISHER_CACHE_SECONDS:
            try:
                publisher = self._service.publisher(publisher_id)
            except NotFound:
                raise RuleRefused(rules.PUBLISHER_UNKNOWN) from None
            if publisher.revoked:
                raise RuleRefused(rules.PUBLISHER_UNKNOWN)
            known = (time.monotonic(), publisher.service, publisher.public_key)
            with self._lock:
                self._publishers[publisher_id] = known
        return known[1], known[2]

    def _carry_out(self, message: Message, raw: Raw) -> Handled:
        caller = inbox_message.caller(message)
        for _ in range(_ATTEMPTS):
            try:
                outcome = self._answered(message, caller)
            except ConcurrencyConflict:
                time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  (spreads retries)
            except HELD:
                raise
            except Exception as error:
                # An id used for another message, a fault of ours, or a matter for a human: not remembered as a refusal,
                # so that the message can be sent again once it is mended or decided.
                said = describe(error).document(message.message_id, field_names.ours())
                return Handled(_rejected(message, said), _dead(raw, error, opened=True))
            else:
                return Handled(outcome)
        raise ConcurrencyConflict(message.message_id)

    def _answered(self, message: Message, caller: Caller) -> Outcome:
        """Do a message's command, or remember that it was refused; what was done before is answered as it was then."""
        key = f"inbox:{message.message_id}"
        name, body = _REFUSED_SHAPE, message.content
        ids: Mapping[str, Any] = {}
        try:
            command = inbox_message.command(message)
            name, ids, body = command.operation, command.ids, command.body
            return _accepted(message, self._service.execute(name, caller, ids, body, key))
        except (RetriableError, IdempotencyKeyReused):
            raise
        except AlreadyDone as done:
            return _known(message, done)
        except CasekeeperError as error:
            problem = describe(error)
            if problem.type.status >= 500 or problem.type.slug == rules.REGISTRATION_NEEDS_REVIEW.slug:
                raise
            said = problem.document(message.message_id, field_names.ours())
        try:
            self._service.record_rejection(name, caller, ids, body, key, said)
        except AlreadyDone as done:
            return _known(message, done)
        return _rejected(message, said)


def _known(message: Message, done: AlreadyDone) -> Outcome:
    return _rejected(message, done.answer["problem"]) if done.status >= 400 else _accepted(message, first_answer(done))


def _accepted(message: Message, answer: Answer) -> Outcome:
    body = {"message_id": str(message.message_id), "status": "accepted", "answer": answer.body}
    return Outcome(message.message_id, {**body, "publisher_id": str(message.publisher_id)})


def _rejected(message: Message, document: Mapping[str, Any]) -> Outcome:
    body = {"message_id": str(message.message_id), "status": "rejected", "problem": dict(document)}
    return Outcome(message.message_id, {**body, "publisher_id": str(message.publisher_id)})


def _dead(raw: Raw, error: Exception, opened: bool) -> DeadLetter:
    # What came in clear by mistake is not kept for another 90 days: the letter then tells where it lay, and why. What
    # no key of ours opened may be anything, and can be read by nobody in any case. A key that is no id is such a thing
    # too, and may be so long that the letter would not fit its topic.
    value = raw.value if opened and raw.value is not None and jose.is_ciphertext_only(raw.value) else None
    key = raw.key if raw.key is not None and _UUID.fullmatch(raw.key) else None
    return DeadLetter.of(key, value, raw.source, error)
