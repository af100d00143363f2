"""Reading personal data: fences first, then what the purpose allows, opened, and the read itself recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from application.caller import Caller
from application.permissions import OPENED, READERS
from application.unit_of_work import Resources
from domain.errors import CasekeeperError, Fenced
from domain.events.base import Context
from domain.events.parties import AccessRecorded
from domain.record import Actor
from domain.sealed import Erased, SealedField
from store.append import AppendCommand, Fence, NewEvent


class Reading:
    """Opens sealed parts of views for a stated purpose."""

    def __init__(self, resources: Resources, clock: Callable[[], datetime]) -> None:
        self._resources = resources
        self._clock = clock
        self._days: dict[tuple[str, str, str], _Day] = {}
        self._lock = threading.Lock()

    def authorise(self, caller: Caller, resource: str) -> Actor:
        """Return the caller in the role that may read this. Raises :class:`NotAllowed`."""
        return caller.actor(READERS[resource])

    def open(
        self,
        caller: Caller,
        resource: str,
        fields: Mapping[str, Mapping[str, Any] | None],
        *,
        subject_ids: Sequence[UUID],
        case_id: UUID | None = None,
    ) -> dict[str, Any]:
        """Return each field's value, tombstone or mask; recorded as an event before anything is returned.

        Nothing is shown whose fence stands before that event in the log.
        ``fields``: what a view keeps of each, a sealed field or a tombstone as JSON. Raises ``NotAllowed``,
        ``KeysUnavailable``, ``StoreUnavailable``, ``Tampered``: then nothing is shown.
        """
        actor = self.authorise(caller, resource)
        answers, opened = self._answers(caller, actor, fields, subject_ids)
        erased = sum(1 for answer in answers.values() if answer is not None and "erased" in answer)
        about: dict[str, Any] = {"subject_ids": subject_ids, "case_id": case_id}
        uses = _used(opened.values())
        try:
            self.record(caller, actor, resource, **about, opened=len(opened), erased=erased, uses=uses)
        except Fenced:
            # Fenced since it was looked: this time the fence is found, and nothing of it is opened.
            return self.open(caller, resource, fields, **about)
        return {name: answers[name] for name in fields}

    def find(
        self,
        caller: Caller,
        resource: str,
        people: Iterable[Mapping[UUID, Sequence[Mapping[str, Any]]]],
        matches: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], bool],
        limit: int,
    ) -> tuple[dict[UUID, Mapping[str, Any]], bool]:
        """Return the identities of the first people who match, none of them fenced or erased, and whether more do.

        ``people``: batches of what a view keeps of each, the identity first; no more are taken than needed.
        ``matches`` is given the opened identity and the other values that open. Recorded are the people who are
        returned, nobody else, and nothing of what was asked. Raises like :meth:`open`.
        """
        actor = self.authorise(caller, resource)
        matching = (match for batch in people for match in self._matching(caller, actor, batch, matches))
        found = list(islice(matching, limit))
        more = next(matching, None) is not None
        while True:
            uses = [_used(match.opened) for match in found]
            about: dict[str, Any] = {
                "subject_ids": [match.id for match in found],
                "opened": sum(len(m.opened) for m in found),
            }
            try:
                self.record(caller, actor, resource, **about, uses=frozenset().union(*uses))
            except Fenced as refused:
                # Fenced since it was looked: they are not shown, and the others are recorded without them.
                found = [m for m, used in zip(found, uses, strict=True) if used.isdisjoint(refused.fenced)]
            else:
                return {match.id: match.identity for match in found}, more

    def _matching(
        self,
        caller: Caller,
        actor: Actor,
        people: Mapping[UUID, Sequence[Mapping[str, Any]]],
        matches: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], bool],
    ) -> Iterator[_Match]:
        """Yield those of some people who match."""
        fields = {f"{id_}.{n}": value for id_, values in people.items() for n, value in enumerate(values)}
        answers, opened = self._answers(caller, actor, fields, list(people))
        for id_, values in people.items():
            readable = {name: answers[name] for n in range(len(values)) if _is_value(answers[name := f"{id_}.{n}"])}
            identity = readable.get(f"{id_}.0")
            others = [value for name, value in readable.items() if name != f"{id_}.0"]
            if identity is not None and matches(identity, others):
                yield _Match(id_, identity, [opened[name] for name in readable])

    def _answers(
        self,
        caller: Caller,
        actor: Actor,
        fields: Mapping[str, Mapping[str, Any] | None],
        subject_ids: Sequence[UUID],
    ) -> tuple[dict[str, Any], dict[str, SealedField]]:
        """Return each field's value, tombstone or mask, and which fields were opened for it."""
        answers: dict[str, Any] = {name: value for name, value in fields.items() if value is None or "erased" in value}
        sealed = {name: SealedField.from_json(v) for name, v in fields.items() if v is not None and name not in answers}
        answers |= self._fenced(sealed, subject_ids)
        permitted = OPENED[(actor.role, caller.purpose or "")]
        to_open: dict[str, SealedField] = {}
        for name, field in sealed.items():
            if name in answers:
                continue
            if field.part.category in permitted:
                to_open[name] = field
            else:
                answers[name] = {"masked": {"category": field.part.category}}
        opened = self._resources.vault.open_many(list(to_open.values()))
        for name, value in zip(to_open, opened, strict=True):
            answers[name] = value.to_json() if isinstance(value, Erased) else dict(value)
        return answers, {name: field for name, field in to_open.items() if _is_value(answers[name])}

    def _fenced(self, sealed: Mapping[str, SealedField], subject_ids: Iterable[UUID]) -> dict[str, Any]:
        asked = {field.part.scope_id for field in sealed.values()} | set(subject_ids)
        asked |= {field.part.subject_id for field in sealed.values()}
        fences = self._resources.log.fenced(asked) if asked else {}
        return {
            name: _tombstone(fence)
            for name, field in sealed.items()
            if (fence := fences.get(field.part.scope_id) or fences.get(field.part.subject_id)) is not None
        }

    def record(
        self,
        caller: Caller,
        actor: Actor,
        resource: str,
        *,
        subject_ids: Sequence[UUID],
        case_id: UUID | None = None,
        opened: int = 0,
        erased: int = 0,
        uses: frozenset[UUID] = frozenset(),
    ) -> None:
        """Record a read, before it is answered. Raises ``StoreUnavailable``.

        ``uses``: people and key scopes whose data the answer carries; raises ``Fenced`` when one of them is fenced.
        """
        now = self._clock()
        context = Context(
            now,
            actor,
            caller.producer,
            caller.purpose or "",
            "contract" if actor.role in ("case_manager", "service") else "legal_obligation",
            self._resources.policies.in_force(now).version,
            caller.correlation_id,
        )
        day = self._day(actor, now)
        with day.lock:
            said: dict[str, Any] = {
                "originator_id": day.stream_id,
                "originator_version": day.version + 1,
                "timestamp": now,
                "event_id": self._resources.new_id(),
                "context": context,
                "subject_ids": tuple(dict.fromkeys(subject_ids)),
                "case_id": case_id,
                "resource": resource,
                "fields_opened": opened,
                "fields_erased": erased,
            }
            event = AccessRecorded(**said)
            stored = self._resources.mapper.to_stored_event(event)
            command = AppendCommand(
                (NewEvent(event.event_id, day.stream_id, day.version + 1, stored.topic, stored.state),), uses=uses
            )
            try:
                self._resources.log.append(command)
            except CasekeeperError:
                # Whether it was appended may be unknown: the day goes on in a new stream.
                self._forget_day(actor, now)
                raise
            day.version += 1

    def _forget_day(self, actor: Actor, now: datetime) -> None:
        with self._lock:
            self._days.pop(_day_key(actor, now), None)

    def _day(self, actor: Actor, now: datetime) -> _Day:
        key = _day_key(actor, now)
        with self._lock:
            if key not in self._days:
                # Days that are over are never written again.
                self._days = {k: day for k, day in self._days.items() if k[2] == key[2]}
                self._days[key] = _Day(self._resources.new_id())
            return self._days[key]


@dataclass(frozen=True)
class _Match:
    """Somebody who was found: the identity as it opened, and which fields were opened for it."""

    id: UUID
    identity: Mapping[str, Any]
    opened: Sequence[SealedField]


class _Day:
    """The stream of one reader's day in one process: no other writer, so no conflict."""

    def __init__(self, stream_id: UUID) -> None:
        self.stream_id = stream_id
        self.version = 0
        self.lock = threading.Lock()


def _day_key(actor: Actor, now: datetime) -> tuple[str, str, str]:
    return actor.issuer, actor.id, f"{now:%Y-%m-%d}"


def _used(fields: Iterable[SealedField]) -> frozenset[UUID]:
    return frozenset(used for field in fields for used in (field.part.scope_id, field.part.subject_id))


def _tombstone(fence: Fence) -> dict[str, Any]:
    return Erased(fence.fenced_id, fence.at, fence.certificate_id).to_json()


def _is_value(answer: Mapping[str, Any] | None) -> bool:
    return answer is not None and "erased" not in answer and "masked" not in answer
