"""Events like a service's day: people, their cases, consents and disclosures, and who read them, all interleaved.

Made from a seed, so each run meets the same ones. Sealed parts are random bytes of the size that sealing gives: no
view opens them, and like real ones they do not compress.
"""

from __future__ import annotations

import random
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from domain.record import encode
from store.append import NewEvent

SEALED_BYTES = {"identity": 330, "medical": 700, "insurance": 160, "note": 380, "title": 150}
"""Bytes of a sealed part by field: format, nonce, scope and tag, and an identity, an intake, a short note as JSON."""

_AT_ONCE = 400
_READS = 2


class _Maker:
    """Makes records of one seed; counts the versions of streams."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._versions: dict[UUID, int] = {}
        self._second = 0

    def id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def go_on(self, stream: UUID, version: int) -> None:
        """Take a stream to have this version."""
        self._versions[stream] = version

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def event(
        self, type_: str, stream: UUID, subject: UUID, data: dict[str, Any], *sealed: tuple[str, UUID]
    ) -> NewEvent:
        """Return the next event of a stream; ``sealed``: fields with the key scope of each."""
        event_id, version = self.id(), self._versions.get(stream, 0) + 1
        self._versions[stream] = version
        self._second += 1
        at = f"2026-03-{1 + self._second // 86400 % 28:02}T{self._second // 3600 % 24:02}:{self._second // 60 % 60:02}"
        at = f"{at}:{self._second % 60:02}.{self._random.randrange(1_000_000):06}Z"
        record = {
            "event_id": str(event_id),
            "type": type_,
            "schema_version": 1,
            "stream_id": str(stream),
            "stream_version": version,
            "occurred_at": at,
            "recorded_at": at,
            "actor": {"issuer": "https://issuer.example", "id": "manager-7", "role": "case_manager"},
            "producer": "api",
            "purpose": "casework",
            "legal_basis": "contract",
            "policy_version": "1",
            "subject_ids": [str(subject)],
            "case_id": str(stream) if stream != subject else None,
            "correlation_id": str(self.id()),
            "causation_id": None,
            "data": data,
            "sealed": {field: self._part(field, subject, scope) for field, scope in sealed},
        }
        return NewEvent(event_id, stream, version, type_, encode(record))

    def _part(self, field: str, subject: UUID, scope: UUID) -> dict[str, str]:
        size = SEALED_BYTES[field]
        content = self._random.randbytes(size + self._random.randrange(-size // 4, size // 4))
        category = {"identity": "identity", "insurance": "insurance"}.get(field, "medical")
        value = "ck1." + urlsafe_b64encode(content).decode().rstrip("=")
        return {"subject_id": str(subject), "category": category, "scope_id": str(scope), "value": value}


def events(count: int, seed: int = 1) -> Iterator[NewEvent]:
    """Yield ``count`` events of some hundred people at a time, each person's in the order in which they happen."""
    maker = _Maker(seed)
    chooser = random.Random(seed + 1)
    under_way: list[Iterator[NewEvent]] = []
    made = 0
    while made < count:
        while len(under_way) < _AT_ONCE:
            under_way.append(_person(maker))
        number = chooser.randrange(len(under_way))
        event = next(under_way[number], None)
        if event is None:
            under_way[number] = under_way[-1]
            under_way.pop()
            continue
        made += 1
        yield event


def notes(subject: UUID, case: UUID, after: int, count: int) -> Iterator[NewEvent]:
    """Yield ``count`` notes of one case, for its stream's versions from ``after`` + 1."""
    maker = _Maker(case.int)
    maker.go_on(case, after)
    scope = maker.id()
    for _ in range(count):
        yield maker.event("NoteAdded", case, subject, {"note_id": str(maker.id())}, ("note", scope))


def _person(maker: _Maker) -> Iterator[NewEvent]:
    person, identity = maker.id(), maker.id()
    language = {"language": "en"}
    registered = {"engagement": 1, **language}
    yield maker.event("SubjectRegistered", person, person, registered, ("identity", identity))
    yield maker.event("NoticeServed", person, person, {"notice_version": "1", **language})
    yield from _case(maker, person)
    consent = maker.id()
    recipient = maker.id()
    terms = {
        "consent_id": str(consent),
        "consent_purpose": "treatment",
        "recipient_ids": [str(recipient)],
        "categories": ["identity", "medical"],
        "notice_version": "1",
        "method": "web_form",
        "valid_until": "2036-01-01T00:00:00.000000Z",
        **language,
    }
    yield maker.event("ConsentRequested", person, person, terms)
    yield maker.event("ConsentGranted", person, person, terms)
    if maker.chance(0.5):
        yield from _disclosure(maker, person, consent, recipient)
    if maker.chance(0.2):
        yield maker.event("ConsentWithdrawn", person, person, {"consent_id": str(consent)})


def _case(maker: _Maker, person: UUID) -> Iterator[NewEvent]:
    case, medical, insurance = maker.id(), maker.id(), maker.id()
    yield maker.event("CaseOpened", case, person, {"kind": "second_opinion", "engagement": 1})
    intake = {"intake_id": str(maker.id()), "form": "medical_intake", "form_version": 1, "notice_version": "1"}
    answers = ("medical", medical), ("insurance", insurance)
    yield maker.event("IntakeSubmitted", case, person, intake, *answers)
    yield maker.event("CaseAssigned", case, person, {"assignee": "manager-7"})
    yield from _reads(maker, person, "case")
    task = {"task_id": str(maker.id())}
    added = {**task, "due": "2026-04-01T00:00:00.000000Z", "assignee": "manager-7"}
    yield maker.event("TaskAdded", case, person, added, ("title", medical))
    for _ in range(3):
        yield maker.event("NoteAdded", case, person, {"note_id": str(maker.id())}, ("note", medical))
    if maker.chance(0.3):
        yield maker.event("IntakeAmended", case, person, intake, *answers)
    yield maker.event("TaskCompleted", case, person, task)
    yield from _reads(maker, person, "case")
    if maker.chance(0.6):
        yield maker.event("CaseClosed", case, person, {"reason": "completed"})


def _disclosure(maker: _Maker, person: UUID, consent: UUID, recipient: UUID) -> Iterator[NewEvent]:
    disclosure = {"disclosure_id": str(maker.id())}
    terms = {
        **disclosure,
        "recipient_id": str(recipient),
        "disclosure_purpose": "treatment",
        "categories": ["identity", "medical"],
        "basis_type": "consent",
        "basis_id": str(consent),
    }
    yield maker.event("DisclosureRequested", person, person, terms)
    yield maker.event("DisclosureAuthorized", person, person, disclosure)
    sources = {"agreement_id": str(maker.id()), "source_event_ids": [str(maker.id()) for _ in range(3)]}
    yield maker.event("DisclosureReleased", person, person, {**terms, **sources})


def _reads(maker: _Maker, person: UUID, resource: str) -> Iterator[NewEvent]:
    read = {"resource": resource, "fields_opened": 4, "fields_erased": 0}
    for _ in range(_READS):
        yield maker.event("AccessRecorded", maker.id(), person, read)
