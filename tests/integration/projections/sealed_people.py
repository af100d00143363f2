"""People whose values a real vault has sealed, as records; and their tags, computed apart from the code under test."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any
from uuid import UUID, uuid4

from view_records import event

from domain.sealed import Binding, KeyScope
from vault.vault import Vault

ADA = {
    "given_name": "Ada",
    "family_name": "O\u2019Brien",
    "birth_date": "1970-02-03",
    "email": "Ada@Example.org",
    "phone": "+44 20 7946 0018",
    "address": None,
    "time_zone": None,
}
ADAS_TERMS = {
    "given_name": "ada",
    "family_name": "obrien",
    "birth_date": "1970-02-03",
    "email": "ada@example.org",
    "phone": "79460018",
}
"""What Ada is found by, written by hand."""


def tag(key: bytes, field: str, term: str) -> int:
    """Return a tag by the book: the first four bytes of an HMAC-SHA-256 over length-prefixed parts, signed."""
    parts = (b"casekeeper/index/1", field.encode(), term.encode())
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return struct.unpack(">i", hmac.new(key, message, hashlib.sha256).digest()[:4])[0]


def sealed(
    vault: Vault,
    record: dict[str, Any],
    field: str,
    category: str,
    value: Any,
    case: UUID | None = None,
    engagement: int = 1,
) -> dict:
    """Return the record with one value sealed into it for its person."""
    subject = UUID(record["subject_ids"][0])
    binding = Binding(subject, UUID(record["stream_id"]), UUID(record["event_id"]), record["type"], 1, field)
    scope = vault.scope(KeyScope(subject, category, case, engagement))
    return {**record, "sealed": {**record["sealed"], field: vault.seal(scope, category, binding, value).to_json()}}


def registered(vault: Vault, subject: str, at: str = "2026-03-01T10:00:00.000000Z", **identity: Any) -> dict[str, Any]:
    """Return the registration of a person: Ada, but for what is said."""
    data = {"engagement": 1, "language": "en"}
    record = event("SubjectRegistered", subject, data, at=at, event_id=str(uuid4()))
    return sealed(vault, record, "identity", "identity", {**ADA, **identity})


def engaged(vault: Vault, subject: str, **identity: Any) -> dict[str, Any]:
    """Return the start of a person's second engagement: Ada, but for what is said, under a key scope of its own."""
    data = {"engagement": 2, "language": "en"}
    record = event("EngagementStarted", subject, data, event_id=str(uuid4()))
    return sealed(vault, record, "identity", "identity", {**ADA, **identity}, engagement=2)


def answered(
    vault: Vault, subject: str, case: str, intake: str, number: str | None, type_: str = "IntakeSubmitted"
) -> dict[str, Any]:
    """Return an intake with an insurance of that number, or with none."""
    data = {"intake_id": intake, "form": "medical_intake", "form_version": 1, "notice_version": "1"}
    record = event(type_, case, data, subject=subject, case=case, event_id=str(uuid4()))
    insurance = {"insurer": "Example Mutual", "member_number": number}
    return sealed(vault, record, "insurance", "insurance", insurance, UUID(case)) if number else record


def scope_of(record: dict[str, Any], field: str) -> str:
    """Return the key scope of a sealed part."""
    return record["sealed"][field]["scope_id"]
