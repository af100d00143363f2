"""One command's work: what it reads, seals and decides, appended whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar, cast
from uuid import UUID

from application.policies import Policies
from application.recent_streams import RecentStreams
from application.record_mapper import RecordMapper
from domain import rules
from domain.aggregate import DecidingAggregate
from domain.case import Case
from domain.errors import Fenced, NotFound, RuleRefused
from domain.events.base import Context, Event
from domain.recipient import Recipient
from domain.sealed import Binding, Erased, KeyScope, SealedField, SealedPart
from domain.subject import Subject
from store.append import AppendCommand, Appended, Fence, Idempotency, NewEvent
from store.log import EventLog
from store.new_ids import new_id
from vault.blind_index import EPOCH_DAYS
from vault.vault import Vault

A = TypeVar("A", bound=DecidingAggregate)


@dataclass(frozen=True)
class Resources:
    """What a unit of work needs from outside, the same for all."""

    log: EventLog
    vault: Vault
    policies: Policies
    mapper: RecordMapper
    new_id: Callable[[], UUID] = new_id
    index_days: int = EPOCH_DAYS

    @cached_property
    def streams(self) -> RecentStreams:
        """Return the streams that this process has read."""
        return RecentStreams(self.log, self.mapper)


class UnitOfWork:
    """Loads aggregates, seals for them, and appends their events with everything the decision relied on."""

    def __init__(self, resources: Resources, context: Context) -> None:
        self.context = context
        self.policies = resources.policies
        self.vault = resources.vault
        self.index_days = resources.index_days
        self._log = resources.log
        self._streams = resources.streams
        self._mapper = resources.mapper
        self._new_id = resources.new_id
        self._reads: dict[UUID, int] = {}
        self._touched: list[DecidingAggregate] = []
        self._uses: set[UUID] = set()
        self._fences: list[Fence] = []
        self._pending: list[Event] | None = None

    @property
    def now(self) -> datetime:
        """Return the moment of the command."""
        return self.context.at

    @property
    def uses(self) -> frozenset[UUID]:
        """Return the people and key scopes that must not be fenced when what comes of this work is recorded."""
        return frozenset(self._uses)

    def new_id(self) -> UUID:
        """Return a new random identifier."""
        return self._new_id()

    def load(self, kind: type[A], stream_id: UUID) -> A:
        """Return an aggregate as it stands, and remember its version. Raises :class:`NotFound`."""
        aggregate = self._streams.load(stream_id)
        if not isinstance(aggregate, kind):
            raise NotFound(kind.__name__.lower(), stream_id)
        self._reads[stream_id] = aggregate.version
        self._touched.append(aggregate)
        return aggregate

    def person(self, subject_id: UUID) -> Subject:
        """Return a person about whom something new may be recorded. Raises ``NotFound``, ``RuleRefused``."""
        subject = self.load(Subject, subject_id)
        if subject.fenced:
            raise RuleRefused(rules.SUBJECT_FENCED, subject_id=subject_id)
        self._uses.add(subject_id)
        return subject

    def case(self, case_id: UUID) -> Case:
        """Return a case about whose person something new may be recorded. Raises ``NotFound``."""
        case = self.load(Case, case_id)
        self._uses.add(case.subject_id)
        return case

    def recipient(self, recipient_id: UUID) -> Recipient:
        """Return a recipient. Raises ``NotFound``."""
        return self.load(Recipient, recipient_id)

    def made(self, aggregate: A) -> A:
        """Take a new aggregate in; its stream must not exist yet."""
        self._reads[aggregate.id] = 0
        self._uses.update(aggregate.concerned())
        self._touched.append(aggregate)
        return aggregate

    def seal(
        self, stream_id: UUID, event: type[Event], event_id: UUID, field: str, scope: KeyScope, value: Mapping[str, Any]
    ) -> SealedPart:
        """Seal the personal part of an event under a person's key, made when it is the scope's first.

        Raises ``Fenced`` when the scope was destroyed, ``KeysUnavailable``.
        """
        scope_id = self.vault.scope(scope)
        self._uses.update((scope_id, scope.subject_id))
        binding = Binding(scope.subject_id, stream_id, event_id, event.TOPIC, event.SCHEMA, field)
        return self.vault.seal(scope_id, scope.category, binding, value)

    def open(self, fields: Sequence[SealedField]) -> list[Mapping[str, Any] | Erased]:
        """Open sealed parts for a disclosure, fences first; one fenced before the append refuses the command.

        Raises ``KeysUnavailable``.
        """
        scopes = {field.part.scope_id for field in fields}
        self._uses.update(scopes)
        if fenced := self._log.fenced(scopes):
            raise Fenced(sorted(fenced))
        return list(self.vault.open_many(fields))

    def fence(self, fences: list[Fence]) -> None:
        """Fence people or scopes with the events of this command."""
        self._fences.extend(fences)

    def pending(self) -> list[Event]:
        """Return the decided events in order."""
        if self._pending is None:
            self._pending = [cast(Event, e) for a in self._touched for e in a.collect_events()]
        return self._pending

    def append(self, idempotency: Idempotency | None = None) -> Appended:
        """Append what was decided, one event at least. Raises what :meth:`store.log.EventLog.append` raises."""
        *before, last = self.pending()
        events = (*(self._new_event(event) for event in before), self._new_event(last, idempotency))
        appended = self._log.append(
            AppendCommand(
                events,
                reads=self._reads,
                uses=self.uses,
                fences=tuple(self._fences),
                idempotency=idempotency,
            )
        )
        self._streams.appended(self._touched, events)
        return appended

    def _new_event(self, event: Event, idempotency: Idempotency | None = None) -> NewEvent:
        record = self._mapper.to_record(event, idempotency)
        return NewEvent(event.event_id, event.originator_id, event.originator_version, event.TOPIC, record)
