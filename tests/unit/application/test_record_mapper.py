"""The published form of an event: written out by hand, and read back equal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from application.record_mapper import RecordMapper
from domain.events.base import Context
from domain.events.consent import ConsentWithdrawn
from domain.events.person import NoticeServed, SubjectRegistered
from domain.record import Actor, Record
from domain.sealed import SealedPart

AT = datetime(2026, 3, 1, 9, 30, 0, 250000, tzinfo=UTC)
SUBJECT, EVENT, SCOPE, CONSENT, CORRELATION = (UUID(int=n) for n in range(1, 6))
CONTEXT = Context(AT, Actor("staff", "a1", "service"), "api", "rights", "consent", "1", CORRELATION)


def withdrawn(reason: SealedPart | None) -> ConsentWithdrawn:
    return ConsentWithdrawn(
        originator_id=SUBJECT,
        originator_version=4,
        timestamp=AT,
        event_id=EVENT,
        context=CONTEXT,
        subject_ids=(SUBJECT,),
        case_id=None,
        consent_id=CONSENT,
        reason=reason,
    )


def test_the_record_of_an_event() -> None:
    part = SealedPart(SUBJECT, "correspondence", SCOPE, "ck1.AAAA")

    stored = RecordMapper().to_stored_event(withdrawn(part))

    assert json.loads(stored.state) == {
        "event_id": "00000000-0000-0000-0000-000000000002",
        "type": "ConsentWithdrawn",
        "schema_version": 1,
        "stream_id": "00000000-0000-0000-0000-000000000001",
        "stream_version": 4,
        "occurred_at": "2026-03-01T09:30:00.250000Z",
        "recorded_at": "2026-03-01T09:30:00.250000Z",
        "actor": {"issuer": "staff", "id": "a1", "role": "service"},
        "producer": "api",
        "purpose": "rights",
        "legal_basis": "consent",
        "policy_version": "1",
        "subject_ids": ["00000000-0000-0000-0000-000000000001"],
        "case_id": None,
        "correlation_id": "00000000-0000-0000-0000-000000000005",
        "causation_id": None,
        "data": {"consent_id": "00000000-0000-0000-0000-000000000004"},
        "sealed": {
            "reason": {
                "subject_id": "00000000-0000-0000-0000-000000000001",
                "category": "correspondence",
                "scope_id": "00000000-0000-0000-0000-000000000003",
                "value": "ck1.AAAA",
            }
        },
    }
    assert b" " not in stored.state


@pytest.mark.parametrize("reason", [None, SealedPart(SUBJECT, "correspondence", SCOPE, "ck1.AAAA")])
def test_an_event_reads_back_equal(reason: SealedPart | None) -> None:
    mapper, event = RecordMapper(), withdrawn(reason)

    assert mapper.to_domain_event(mapper.to_stored_event(event)) == event


def test_a_first_event_creates_its_aggregate_again() -> None:
    mapper = RecordMapper()
    event = SubjectRegistered(
        originator_id=SUBJECT,
        originator_version=1,
        timestamp=AT,
        event_id=EVENT,
        context=CONTEXT,
        subject_ids=(SUBJECT,),
        case_id=None,
        originator_topic="Subject",
        engagement=1,
        language="en",
        identity=SealedPart(SUBJECT, "identity", SCOPE, "ck1.AAAA"),
    )

    subject = mapper.to_domain_event(mapper.to_stored_event(event)).mutate(None)  # type: ignore[attr-defined]

    assert (subject.id, subject.language, subject.version) == (SUBJECT, "en", 1)


def test_a_clear_value_of_another_kind_is_not_written() -> None:
    event = NoticeServed(
        originator_id=SUBJECT,
        originator_version=2,
        timestamp=AT,
        event_id=EVENT,
        context=CONTEXT,
        subject_ids=(SUBJECT,),
        case_id=None,
        notice_version="1",
        language="Jane Doe",
    )

    with pytest.raises(ValueError, match="language is not of the clear kind") as problem:
        RecordMapper().to_stored_event(event)
    assert "Jane" not in str(problem.value)


def test_projections_read_the_same_record() -> None:
    stored = RecordMapper().to_stored_event(withdrawn(None))

    record = Record.parse(7, stored.state)

    assert (record.position, record.type, record.stream_version, record.subject_ids) == (7, stored.topic, 4, (SUBJECT,))
    assert isinstance(stored, StoredEvent)
