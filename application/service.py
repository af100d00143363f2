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
from domain.errors import (
    AlreadyDone,
    CasekeeperError,
    DoneLongAgo,
    FieldProblem,
    IdempotencyKeyReused,
    InvalidInput,
    RetriableError,
)
from domain.events.base import Context
from domain.publisher import Publisher
from domain.record import Actor
from store.append import AppendCommand, Idempotency


@dataclass(frozen=True)
class Answer:
    """What a command answers: an HTTP status and a body that is ready for JSON, with its receipt."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class _Call:
    """One call: ``body`` as it was sent, ``checked`` as its schema took it, ``stored_key`` when it can be repeated."""

    operation: Operation
    caller: Caller
    context: Context
    ids: dict[str, UUID]
    checked: dict[str, Any]
    body: Any
    stored_key: str | None


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
        ``domain.errors``; nothing was done then, unless it is ``OutcomeUnknown``: call again under the same key. With
        ``DoneLongAgo`` nothing was done now, and the call under this key was done before.
        """
        operation = _find(name)
        call = _Call(
            operation,
            caller,
            self._context(operation, caller),
            {key: load_identifier(key, ids[key]) for key in operation.ids},
            load(operation.schema, body),
            body,
            self.idempotency.key(caller, idempotency_key) if idempotency_key else None,
        )
        try:
            return self._first_or_known(call)
        except IdempotencyKeyReused:
            metrics.IDEMPOTENCY_HITS.inc("other_body")
            raise
        except DoneLongAgo:
            metrics.IDEMPOTENCY_HITS.inc("long_ago")
            raise
        except AlreadyDone as done:
            metrics.IDEMPOTENCY_HITS.inc("same")
            if done.status >= 400:
                raise
            return self._repeat(call, done)

    def record_rejection(
        self, name: str, caller: Caller, ids: Mapping[str, UUID | str], body: Any, key: str, problem: Mapping[str, Any]
    ) -> None:
        """Remember that an inbox message was refused, so that a repeat is answered alike.

        Raises ``AlreadyDone`` when it is one, ``IdempotencyKeyReused`` when its id stands for another message.
        """
        stored_key = self.idempotency.key(caller, key)
        text_ids = {k: UUID(str(v)) for k, v in ids.items() if _is_uuid(v)}
        # One of another day has its MAC under another key, which the append cannot compare.
        self.idempotency.raise_if_known(self.log.find_idempotent(stored_key), caller, name, text_ids, body)
        record = self.idempotency.record(
            stored_key, self.clock(), name, text_ids, body, int(problem["status"]), {"problem": problem}
        )
        self.log.append(AppendCommand((), idempotency=record))

    def publisher(self, publisher_id: UUID) -> Publisher:
        """Return a publishing service. Raises :class:`NotFound`."""
        work = UnitOfWork(self.resources, self._system_context())
        return work.load(Publisher, publisher_id)

    def housekeeping(self, clock: Callable[[], datetime]) -> list[str]:
        """Destroy secrets whose day is over by a clock; return their names."""
        return [*self.idempotency.destroy_old(clock), *self.vault.suppression.destroy_expired(clock())]

    def _first_or_known(self, call: _Call) -> Answer:
        """Decide, and look up what is known of the key where that is refused: the append itself refuses a known key.

        What makes something new looks first, so that a repeat makes no key scopes for a person who will not be.
        """
        if not call.operation.ids:
            self._raise_if_known(call)
        try:
            return self._decide(call)
        except (AlreadyDone, IdempotencyKeyReused, DoneLongAgo):
            raise
        except RetriableError:
            # Where the lookup fails too, the first error stands: it alone knows whether something may be recorded.
            with suppress(RetriableError):
                self._raise_if_known(call)
            raise
        except CasekeeperError:
            # Where the lookup fails, its error stands: a refusal is final, and the call may have been done before.
            self._raise_if_known(call)
            raise

    def _raise_if_known(self, call: _Call) -> None:
        if call.stored_key is not None:
            known = self.log.find_idempotent(call.stored_key)
            self.idempotency.raise_if_known(known, call.caller, call.operation.name, call.ids, call.body)

    def _decide(self, call: _Call) -> Answer:
        operation = call.operation
        work = UnitOfWork(self.resources, call.context)
        said = operation.handler(work, call.ids, call.checked)
        events = work.pending()
        if not events:
            self._raise_if_known(call)
            self._record_read(call, work)
            return Answer(operation.status, {**said, "receipt": _receipt([], None, 0, self.log.head())})
        last = events[-1]
        receipt = _receipt([str(e.event_id) for e in events], last.originator_id, last.originator_version, 0)
        remembered = {k: v for k, v in said.items() if k != "content"}
        record: Idempotency | None = None
        if call.stored_key is not None:
            record = self.idempotency.record(
                call.stored_key,
                call.context.at,
                operation.name,
                call.ids,
                call.body,
                operation.status,
                {**remembered, "receipt": receipt},
            )
        appended = work.append(record)
        return Answer(operation.status, {**said, "receipt": {**receipt, "position": appended.positions[-1]}})

    def _repeat(self, call: _Call, done: AlreadyDone) -> Answer:
        added: dict[str, Any] = {}
        if call.operation.repeat is not None:
            work = UnitOfWork(self.resources, call.context)
            added = call.operation.repeat(work, call.ids, call.checked)
            self._record_read(call, work)
        first = first_answer(done)
        return Answer(first.status, {**first.body, **added})

    def _record_read(self, call: _Call, work: UnitOfWork) -> None:
        reads = call.operation.reads
        if reads is not None:
            subject_ids = [call.ids["subject_id"]]
            self.reading.record(call.caller, call.context.actor, reads, subject_ids=subject_ids, uses=work.uses)

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


def first_answer(done: AlreadyDone) -> Answer:
    """Return what was answered to a command that was carried out before."""
    receipt = {**done.answer["receipt"], "position": done.position}
    return Answer(done.status, {**done.answer, "receipt": receipt})


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
