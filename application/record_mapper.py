"""Between domain events and the records of the log, by the registry of fields."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from domain.events import EVENT_TYPES, Context, CreatedEvent, Event
from domain.instants import instant, parse_instant
from domain.record import Actor, encode
from domain.registry import Kind, fields_of
from domain.sealed import SealedPart
from store.append import Idempotency


class RecordMapper(Mapper[UUID]):
    """The library's mapper, writing the published record (``domain.record``) instead of its own form."""

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return an event in the form of the log. Raises ``ValueError`` where a clear value is not of its kind."""
        event = cast(Event, domain_event)
        return StoredEvent(event.originator_id, event.originator_version, event.TOPIC, self.to_record(event))

    def to_record(self, event: Event, idempotency: Idempotency | None = None) -> bytes:
        """Return the bytes of an event's record, with what its command is remembered by if it is the last one."""
        carried = {"idempotency": idempotency.to_json()} if idempotency else {}
        return encode({**_record(event), **carried})

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the event a record describes; sealed parts stay sealed, erased or not."""
        record = json.loads(stored_event.state)
        event_class = EVENT_TYPES[record["type"]]
        state: dict[str, Any] = {
            "originator_id": UUID(record["stream_id"]),
            "originator_version": record["stream_version"],
            "timestamp": parse_instant(record["occurred_at"]),
            "event_id": UUID(record["event_id"]),
            "context": _context(record),
            "subject_ids": tuple(UUID(s) for s in record["subject_ids"]),
            "case_id": UUID(record["case_id"]) if record["case_id"] else None,
        }
        if issubclass(event_class, CreatedEvent):
            state["originator_topic"] = event_class.AGGREGATE
        for name, declared in fields_of(event_class).items():
            state[name] = _decode(declared, record, name)
        event = object.__new__(event_class)
        object.__setattr__(event, "__dict__", state)
        return event


def _record(event: Event) -> dict[str, Any]:
    context = event.context
    data: dict[str, Any] = {}
    sealed: dict[str, Any] = {}
    for name, declared in fields_of(type(event)).items():
        value = getattr(event, name)
        if isinstance(declared, Kind):
            data[name] = _clear(declared, name, value)
        elif value is not None:
            sealed[name] = value.to_json()
    return {
        "event_id": str(event.event_id),
        "type": event.TOPIC,
        "schema_version": event.SCHEMA,
        "stream_id": str(event.originator_id),
        "stream_version": event.originator_version,
        "occurred_at": instant(event.timestamp),
        "recorded_at": instant(context.at),
        "actor": {"issuer": context.actor.issuer, "id": context.actor.id, "role": context.actor.role},
        "producer": context.producer,
        "purpose": context.purpose,
        "legal_basis": context.legal_basis,
        "policy_version": context.policy_version,
        "subject_ids": [str(s) for s in event.subject_ids],
        "case_id": str(event.case_id) if event.case_id else None,
        "correlation_id": str(context.correlation_id),
        "causation_id": str(context.causation_id) if context.causation_id else None,
        "data": data,
        "sealed": sealed,
    }


def _clear(kind: Kind, name: str, value: Any) -> Any:
    if value is None:
        return None
    encoded = kind.encode(value)
    if not kind.conforms(encoded):
        raise ValueError(f"{name} is not of the clear kind {kind.name}")
    return encoded


def _decode(declared: Any, record: dict[str, Any], name: str) -> Any:
    if isinstance(declared, Kind):
        value = record["data"].get(name)
        return None if value is None else declared.decode(value)
    part = record["sealed"].get(name)
    return None if part is None else SealedPart.from_json(part)


def _context(record: dict[str, Any]) -> Context:
    causation = record["causation_id"]
    return Context(
        parse_instant(record["recorded_at"]),
        Actor(**record["actor"]),
        record["producer"],
        record["purpose"],
        record["legal_basis"],
        record["policy_version"],
        UUID(record["correlation_id"]),
        UUID(causation) if causation else None,
    )
