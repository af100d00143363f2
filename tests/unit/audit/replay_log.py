"""A small log written by hand: one person's story, another's beside it, as published records."""

from __future__ import annotations

import json
from uuid import UUID

from audit.as_of import AsOf
from audit.replay import replay
from domain.record import Record


def uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


ANNA, BERT, CASE, OTHER_CASE, RECIPIENT = uid(1), uid(2), uid(10), uid(20), uid(30)
CONSENT, AGREEMENT, DISCLOSURE, REQUEST, CERTIFICATE, INTAKE = uid(40), uid(50), uid(60), uid(70), uid(80), uid(90)
IDENTITY_SCOPE, MEDICAL_SCOPE, BERT_SCOPE, RECIPIENT_SCOPE = uid(101), uid(102), uid(201), uid(301)

SERVICE = {"issuer": "forms", "id": "web", "role": "service"}
CLERK = {"issuer": "idp", "id": "c1", "role": "case_manager"}
OFFICER = {"issuer": "idp", "id": "o1", "role": "privacy_officer"}
SYSTEM = {"issuer": "casekeeper", "id": "saga", "role": "system"}


def at(minute: int) -> str:
    return f"2026-03-01T10:{minute:02d}:00.000000Z"


TOMBSTONE = {"erased": {"at": at(16), "certificate_id": CERTIFICATE}}


class Log:
    """Writes records; each takes the next position and the next minute."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.versions: dict[str, int] = {}

    def add(self, type_, stream, subjects, actor, data, sealed=None, case=None, minute=None):
        position = len(self.values) + 1
        minute = position if minute is None else minute
        self.versions[stream] = self.versions.get(stream, 0) + 1
        record = {
            "event_id": uid(1000 + position),
            "type": type_,
            "schema_version": 1,
            "stream_id": stream,
            "stream_version": self.versions[stream],
            "occurred_at": at(minute),
            "recorded_at": at(minute),
            "actor": actor,
            "producer": "api",
            "purpose": "casework",
            "legal_basis": "contract",
            "policy_version": "1" if position < 12 else "2",
            "subject_ids": list(subjects),
            "case_id": case,
            "correlation_id": uid(5000 + position),
            "causation_id": None,
            "data": data,
            "sealed": sealed or {},
        }
        self.values.append(json.dumps(record).encode())

    def records(self, *, upto: int | None = None):
        return [Record.parse(n, value) for n, value in enumerate(self.values[:upto], 1)]


def part(subject, category, scope):
    return {"subject_id": subject, "category": category, "scope_id": scope, "value": "ck1.AAAA"}


def story() -> Log:
    """Return the story: positions 1 to 18, minute by minute."""
    log, anna = Log(), [ANNA]
    identity = {"identity": part(ANNA, "identity", IDENTITY_SCOPE)}
    log.add("SubjectRegistered", ANNA, anna, SERVICE, {"engagement": 1, "language": "en"}, identity)
    log.add("NoticeServed", ANNA, anna, SERVICE, {"notice_version": "1", "language": "en"})
    bert = {"identity": part(BERT, "identity", BERT_SCOPE)}
    log.add("SubjectRegistered", BERT, [BERT], SERVICE, {"engagement": 1, "language": "de"}, bert)
    log.add("CaseOpened", CASE, anna, SERVICE, {"kind": "care_coordination", "engagement": 1}, case=CASE)
    log.add("CaseOpened", OTHER_CASE, [BERT], SERVICE, {"kind": "second_opinion", "engagement": 1}, case=OTHER_CASE)
    intake = {"intake_id": INTAKE, "form": "medical_intake", "form_version": 1, "notice_version": "1"}
    log.add("IntakeSubmitted", CASE, anna, SERVICE, intake, {"medical": part(ANNA, "medical", MEDICAL_SCOPE)}, CASE)
    name = {"identity": part(RECIPIENT, "identity", RECIPIENT_SCOPE)}
    log.add("RecipientRegistered", RECIPIENT, [RECIPIENT], OFFICER, {"kind": "insurer"}, name)
    agreement = {"agreement_id": AGREEMENT, "purposes": ["treatment"], "valid_from": at(0), "valid_until": None}
    log.add("AgreementRegistered", RECIPIENT, [RECIPIENT], OFFICER, agreement)
    terms = {
        "consent_id": CONSENT,
        "consent_purpose": "treatment",
        "recipient_ids": [RECIPIENT],
        "categories": ["medical"],
        "notice_version": "1",
        "language": "en",
        "method": "paper",
        "valid_until": at(14),
    }
    log.add("ConsentGranted", ANNA, anna, SERVICE, terms)
    asked = {
        "disclosure_id": DISCLOSURE,
        "recipient_id": RECIPIENT,
        "disclosure_purpose": "treatment",
        "categories": ["medical"],
        "basis_type": "consent",
        "basis_id": CONSENT,
    }
    log.add("DisclosureRequested", ANNA, anna, CLERK, asked, case=CASE)
    log.add("DisclosureAuthorized", ANNA, anna, OFFICER, {"disclosure_id": DISCLOSURE}, case=CASE)
    released = {**asked, "agreement_id": AGREEMENT, "source_event_ids": [uid(1006)]}
    log.add("DisclosureReleased", ANNA, anna, CLERK, released, case=CASE)
    log.add(
        "AccessRecorded",
        uid(900),
        [ANNA, BERT],
        CLERK,
        {"resource": "worklist", "fields_opened": 2, "fields_erased": 0},
    )
    request = {
        "request_id": REQUEST,
        "right": "erasure",
        "channel": "web",
        "categories": [],
        "case_ids": [],
        "due": "2026-04-01T10:14:00.000000Z",
    }
    log.add("RightsRequestReceived", ANNA, anna, SERVICE, request)
    scopes = [IDENTITY_SCOPE, MEDICAL_SCOPE]
    fence = {
        "request_id": REQUEST,
        "certificate_id": CERTIFICATE,
        "whole_person": True,
        "scope_ids": scopes,
        "withheld": [],
        "withheld_grounds": [],
    }
    log.add("ErasureFenced", ANNA, anna, SYSTEM, fence)
    destroyed = {
        "request_id": REQUEST,
        "certificate_id": CERTIFICATE,
        "whole_person": True,
        "scope_ids": scopes,
        "destroyed_at": at(16),
        "unrecoverable_after": at(17),
        "root_epoch_before": 4,
        "root_epoch_after": 5,
        "fingerprints": ["00ff00ff00ff00ff"],
    }
    log.add("ErasureKeysDestroyed", ANNA, anna, SYSTEM, destroyed)
    certified = {"request_id": REQUEST, "certificate_id": CERTIFICATE, "view_positions": {"people": 16}}
    log.add("ErasureCertified", ANNA, anna, SYSTEM, certified)
    log.add("NoticeServed", BERT, [BERT], SERVICE, {"notice_version": "2", "language": "de"})
    return log


def person(identifier: str) -> UUID:
    return UUID(identifier)


def replay_anna(as_of=None, log=None, **more):
    return replay((log or story()).records(), person(ANNA), as_of=AsOf.parse(as_of), **more)
