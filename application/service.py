"""The one door for commands, the same for HTTP, the inbox, the schedule and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from application import metrics
from application.caller import Caller
from application.catalogue import OPERATIONS, Operation
from application.idempotency import IdempotencyKeys
from application.policies import Policies
from application.reading import Reading
from application.schemas.loading import load, load_identifier
from application.unit_of_work import Resources, UnitOfWork
from domain.errors import AlreadyDone, CasekeeperError, FieldProblem, IdempotencyKeyReused, InvalidInput, RetriableError
from domain.events.base import Context
from domain.publisher import Publisher
from domain.record import Actor
from store.append import AppendCommand, Idempotency


@dataclass(frozen=True)
class Answer:
    """What a command answers: an HTTP status and a body that is ready for JSON, with its receipt."""

    status: int
    body: dict[str, Any]


class Service:
    """Checks, decides and appends commands; every door of the service leads here."""

    def __init__(self, resources: Resources, reading: Reading, clock: Callable[[], datetime]) -> None:
        self.resources = resources
        self.reading = reading
        self.log = resources.log
        self.vault = resources.vault
        self.policies: Policies = resources.policies
        self.clock = clock
        self.idempotency = IdempotencyKeys(resources.vault)

    def execute(
        self, name: str, caller: Caller, ids: Mapping[str, UUID | str], body: Any, idempotency_key: str | None = None
    ) -> Answer:
        """Do one operation, wholly or not at all.

        A repeated idempotency key with the same body returns the first answer. Raises the errors of
        ``domain.errors``; nothing was done then, unless it is ``OutcomeUnknown``: call again under the same key.
        """
        operation = _find(name)
        context = self._context(operation, caller)
        known_ids = {key: load_identifier(key, ids[key]) for key in operation.ids}
        checked = load(operation.schema, body)
        stored_key = self.idempotency.key(caller, idempotency_key) if idempotency_key else None
        try:
            return self._first_or_known(operation, caller, context, known_ids, checked, body, stored_key)
        except IdempotencyKeyReused:
            metrics.IDEMPOTENCY_HITS.inc("other_body")
            raise
        except AlreadyDone as done:
            metrics.IDEMPOTENCY_HITS.inc("same")
            if done.status >= 400:
                raise
            return self._repeat(operation, caller, context, known_ids, checked, done)

    def record_rejection(
        self, name: str, caller: Caller, ids: Mapping[str, UUID | str], body: Any, key: str, problem: Mapping[str, Any]
    ) -> None:
        """Remember that an inbox message was refused, so that a repeat is answered alike (``AlreadyDone``)."""
        now = self.clock()
        text_ids = {k: UUID(str(v)) for k, v in ids.items() if _is_uuid(v)}
        record = self.idempotency.record(
            self.idempotency.key(caller, key), now, name, text_ids, body, int(problem["status"]), {"problem": problem}
        )
        self.log.append(AppendCommand((), idempotency=record))

    def publisher(self, publisher_id: UUID) -> Publisher:
        """Return a publishing service. Raises :class:`NotFound`."""
        work = UnitOfWork(self.resources, self._system_context())
        return work.load(Publisher, publisher_id)

    def housekeeping(self, now: datetime) -> list[str]:
        """Destroy secrets whose day is over; return their names."""
        return self.idempotency.destroy_old(now)

    def _first_or_known(
        self,
        operation: Operation,
        caller: Caller,
        context: Context,
        ids: dict[str, UUID],
        checked: dict[str, Any],
        body: Any,
        stored_key: str | None,
    ) -> Answer:
        """Decide, and look up what is known of the key where that is refused: the append itself refuses a known key.

        What makes something new looks first, so that a repeat makes no key scopes for a person who will not be.
        """
        if stored_key is not None and not operation.ids:
            self._raise_if_known(stored_key, operation, ids, body)
        try:
            return self._decide(operation, caller, context, ids, checked, body, stored_key)
        except (AlreadyDone, IdempotencyKeyReused):
            raise
        except RetriableError:
            if stored_key is not None:
                # Where the lookup fails too, the first error stands: it alone knows whether something may be recorded.
                with suppress(RetriableError):
                    self._raise_if_known(stored_key, operation, ids, body)
            raise
        except CasekeeperError:
            # Where the lookup fails, its error stands: a refusal is final, and the call may have been done before.
            if stored_key is not None:
                self._raise_if_known(stored_key, operation, ids, body)
            raise

    def _raise_if_known(self, stored_key: str, operation: Operation, ids: dict[str, UUID], body: Any) -> None:
        self.idempotency.raise_if_known(self.log.find_idempotent(stored_key), operation.name, ids, body)

    def _decide(
        self,
        operation: Operation,
        caller: Caller,
        context: Context,
        ids: dict[str, UUID],
        checked: dict[str, Any],
        body: Any,
        stored_key: str | None,
    ) -> Answer:
        work = UnitOfWork(self.resources, context)
        said = operation.handler(work, ids, checked)
        events = work.pending()
        if not events:
            if stored_key is not None:
                self._raise_if_known(stored_key, operation, ids, body)
            self._record_read(operation, caller, context, ids)
            return Answer(operation.status, {**said, "receipt": _receipt([], None, 0, self.log.head())})
        last = events[-1]
        receipt = _receipt([str(e.event_id) for e in events], last.originator_id, last.originator_version, 0)
        remembered = {k: v for k, v in said.items() if k != "content"}
        record: Idempotency | None = None
        if stored_key is not None:
            record = self.idempotency.record(
                stored_key, context.at, operation.name, ids, body, operation.status, {**remembered, "receipt": receipt}
            )
        appended = work.append(record)
        return Answer(operation.status, {**said, "receipt": {**receipt, "position": appended.positions[-1]}})

    def _repeat(
        self,
        operation: Operation,
        caller: Caller,
        context: Context,
        ids: dict[str, UUID],
        checked: dict[str, Any],
        done: AlreadyDone,
    ) -> Answer:
        added: dict[str, Any] = {}
        if operation.repeat is not None:
            added = operation.repeat(UnitOfWork(self.resources, context), ids, checked)
            self._record_read(operation, caller, context, ids)
        receipt = {**done.answer["receipt"], "position": done.position}
        return Answer(done.status, {**done.answer, **added, "receipt": receipt})

    def _record_read(self, operation: Operation, caller: Caller, context: Context, ids: dict[str, UUID]) -> None:
        if operation.reads is not None:
            self.reading.record(caller, context.actor, operation.reads, subject_ids=[ids["subject_id"]])

    def _context(self, operation: Operation, caller: Caller) -> Context:
        now = self.clock()
        return Context(
            at=now,
            actor=caller.actor(operation.allowed),
            producer=caller.producer,
            purpose=caller.purpose or "",
            legal_basis=operation.legal_basis,
            policy_version=self.policies.in_force(now).version,
            correlation_id=caller.correlation_id,
        )

    def _system_context(self) -> Context:
        now = self.clock()
        return Context(
            now,
            Actor("casekeeper", "service", "system"),
            "api",
            "operations",
            "contract",
            self.policies.in_force(now).version,
            self.resources.new_id(),
        )


def _find(name: str) -> Operation:
    try:
        return OPERATIONS[name]
    except KeyError:
        raise InvalidInput([FieldProblem("command", "is not a known command")]) from None


def _receipt(event_ids: list[str], stream: UUID | None, version: int, position: int) -> dict[str, Any]:
    return {
        "event_ids": event_ids,
        "stream": str(stream) if stream else None,
        "version": version,
        "position": position,
    }


def _is_uuid(value: Any) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
