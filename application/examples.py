"""Example bodies of the operations, all synthetic: for the OpenAPI document and for tests of the schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SUBJECT = "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"
_CASE = "5d4a64b2-5a3c-4f6e-8f5e-1f0f6c9d2b22"
_RECIPIENT = "7f2f0ab8-0f58-4a52-a0e8-93b8a2a3e533"
_CONSENT = "2a7e6a4e-31f7-4c3b-8a52-6a4d2f6b9c44"
_PREVIEW = "9c1b7d60-6a0e-8f1d-b3a5-4be0d5a7c155"

_INTAKE = {
    "form": "medical_intake",
    "form_version": 1,
    "answers": {
        "reason": "A second opinion before an operation",
        "medical_history": [{"condition": "Hypertension", "since": "2019", "note": "Well controlled"}],
        "medications": [{"name": "Lisinopril", "dose": "10 mg daily"}],
        "allergies": [{"substance": "Penicillin", "reaction": "Rash", "severity": "mild"}],
        "insurance": {"insurer": "Example Mutual", "member_number": "EM-0001"},
    },
    "notice": {"policy_version": "1"},
}

_PERSON = {
    "identity": {
        "given_name": "Ada",
        "family_name": "Example",
        "birth_date": "1970-02-03",
        "email": "ada@example.org",
        "phone": "+1 555 0100",
        "address": {"lines": ["1 Sample Street"], "city": "Sampleton", "postal_code": "00001", "country": "US"},
    },
    "time_zone": "America/New_York",
    "language": "en",
    "notice": {"policy_version": "1"},
}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "register_subject": _PERSON,
    "register_reviewed_subject": _PERSON,
    "start_engagement": _PERSON,
    "open_case": {"subject_id": _SUBJECT, "kind": "second_opinion"},
    "submit_intake": _INTAKE,
    "amend_intake": _INTAKE,
    "add_note": {"text": "Asked the hospital for the imaging."},
    "assign_case": {"assignee": "a1"},
    "add_task": {"title": "Call the clinic", "due": "2030-01-31", "assignee": "a1"},
    "close_case": {"reason": "completed"},
    "register_agreement": {
        "recipient": {"name": "Example Clinic", "kind": "provider", "address": "2 Sample Street, Sampleton"},
        "purposes": ["treatment"],
        "valid_from": "2026-01-01",
        "valid_until": "2036-01-01",
    },
    "grant_consent": {
        "purpose": "treatment",
        "recipient_ids": [_RECIPIENT],
        "categories": ["identity", "medical"],
        "policy_version": "1",
        "language": "en",
        "method": "web_form",
        "valid_until": "2036-01-01",
    },
    "withdraw_consent": {"reason": "I changed my mind."},
    "request_disclosure": {
        "case_id": _CASE,
        "recipient_id": _RECIPIENT,
        "purpose": "treatment",
        "categories": ["identity", "medical"],
        "basis": {"type": "consent", "id": _CONSENT},
    },
    "deny_disclosure": {"reason": "More than the purpose needs."},
    "cancel_disclosure": {"reason": "Asked for by mistake."},
    "receive_request": {
        "right": "erasure",
        "scope": {"categories": None, "case_ids": None},
        "channel": "web",
    },
    "verify_requester": {"method": "telephone", "outcome": "verified"},
    "approve_erasure": {"preview_id": _PREVIEW},
    "refuse_request": {"ground": "identity_not_verified"},
    "notify_recipient": {"recipient_id": _RECIPIENT, "channel": "email", "sent": "2026-03-02T10:00:00Z"},
    "acknowledge_erasure": {"recipient_id": _RECIPIENT, "channel": "email", "acknowledged": "2026-03-05T10:00:00Z"},
    "report_paper_destruction": {"method": "shredding", "documents": 12, "destroyed": "2026-03-06T10:00:00Z"},
    "confirm_paper_destruction": {"report_id": _PREVIEW},
    "place_hold": {
        "scope": {"categories": ["medical", "correspondence"], "case_ids": None},
        "ground": "legal_hold",
        "instrument_id": "c3b1e6f0-4f53-4d7a-8a0e-2b6d1c9a7e66",
        "review_date": "2036-01-01",
    },
    "register_publisher": {"service": "web-forms", "public_key": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
}
"""Operation name to a body its schema takes."""
