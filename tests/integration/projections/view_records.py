"""Published records written by hand, as JSON, for the tests of the views."""

from __future__ import annotations

import json
from typing import Any

from domain.record import Record

ANA = "aaaaaaaa-0000-4000-8000-000000000001"
BEN = "bbbbbbbb-0000-4000-8000-000000000002"
CLINIC = "cccccccc-0000-4000-8000-000000000003"
CASE = "ca5e0000-0000-4000-8000-000000000001"
OTHER_CASE = "ca5e0000-0000-4000-8000-000000000002"
CERTIFICATE = "ce470000-0000-4000-8000-000000000001"
REQUEST = "4e900000-0000-4000-8000-000000000001"
TOMBSTONE = {"erased": {"at": "2026-05-01T12:00:00.000000Z", "certificate_id": CERTIFICATE}}


def uid(number: int) -> str:
    """Return an id that can be told from others in a failure's message."""
    return f"00000000-0000-4000-8000-{number:012d}"


def event(
    type_: str,
    stream_id: str,
    data: dict[str, Any] | None = None,
    *,
    subject: str | None = None,
    case: str | None = None,
    sealed: dict[str, Any] | None = None,
    at: str = "2026-03-01T10:00:00.000000Z",
    actor: str = "ana-service",
    event_id: str = "e0000000-0000-4000-8000-000000000000",
) -> dict[str, Any]:
    """Return a record's JSON; only what a view may read is worth varying."""
    return {
        "event_id": event_id,
        "type": type_,
        "schema_version": 1,
        "stream_id": stream_id,
        "stream_version": 1,
        "occurred_at": at,
        "recorded_at": at,
        "actor": {"issuer": "https://issuer.example", "id": actor, "role": "case_manager"},
        "producer": "api",
        "purpose": "casework",
        "legal_basis": "contract",
        "policy_version": "1",
        "subject_ids": [subject or stream_id],
        "case_id": case,
        "correlation_id": uid(900),
        "causation_id": None,
        "data": data or {},
        "sealed": sealed or {},
    }


def part(subject: str, category: str, scope: str, value: str = "ck1.AAAA") -> dict[str, str]:
    """Return one sealed part as it stands in a record."""
    return {"subject_id": subject, "category": category, "scope_id": scope, "value": value}


def kept(sealed: dict[str, str], stream: str, type_: str, field: str, event_id: str = "") -> dict[str, Any]:
    """Return what a view keeps of a sealed part: the part with its binding."""
    return {
        **sealed,
        "stream_id": stream,
        "event_id": event_id or "e0000000-0000-4000-8000-000000000000",
        "event_type": type_,
        "schema_version": 1,
        "field": field,
    }


def keys_destroyed(subject: str, scopes: list[str], *, whole: bool, certificate: str = CERTIFICATE) -> dict[str, Any]:
    """Return the event at which views purge."""
    return event(
        "ErasureKeysDestroyed",
        subject,
        {
            "request_id": REQUEST,
            "certificate_id": certificate,
            "whole_person": whole,
            "scope_ids": scopes,
            "destroyed_at": "2026-05-01T12:00:00.000000Z",
            "unrecoverable_after": "2026-05-01T12:00:30.000000Z",
            "root_epoch_before": 1,
            "root_epoch_after": 2,
            "fingerprints": [],
        },
        at="2026-05-01T12:00:01.000000Z",
    )


def case_opened(case: str, subject: str, at: str = "2026-03-01T10:00:00.000000Z") -> dict[str, Any]:
    """Return the opening of a case."""
    data = {"kind": "second_opinion", "engagement": 1}
    return event("CaseOpened", case, data, subject=subject, case=case, at=at)


def registered(subject: str, scope: str) -> dict[str, Any]:
    """Return the registration of a person whose identity is sealed under a scope."""
    sealed = {"identity": part(subject, "identity", scope)}
    return event("SubjectRegistered", subject, {"engagement": 1, "language": "pt"}, sealed=sealed)


def parse(position: int, written: dict[str, Any]) -> Record:
    """Read a record as a consumer does, from its bytes."""
    return Record.parse(position, json.dumps(written).encode())
