"""The registry of fields: for each field of each event, sealed (under which category) or clear (of which kind).

A field is declared where it stands, in its event class, by its annotation::

    class ConsentGranted(Event):
        consent_id: Id
        categories: Words[Literal["categories"]]
        reason: SealedAs["correspondence"]

:func:`fields_of` reads the declarations; the mapper encodes by them, and tests hold published records against them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints
from uuid import UUID

from domain import vocabulary
from domain.record import instant, parse_instant
from domain.sealed import SealedPart


@dataclass(frozen=True)
class Kind:
    """A kind of clear value: its JSON form, and the test that a JSON value is of it."""

    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    conforms: Callable[[Any], bool]


@dataclass(frozen=True)
class Sealed:
    """Marks a field as sealed under a category."""

    category: str


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _same(value: Any) -> Any:
    return value


def word(name: str, words: frozenset[str]) -> Kind:
    """Return the kind of one word out of a closed enumeration."""
    return Kind(name, str, _same, lambda value: value in words)


def words(name: str, allowed: frozenset[str]) -> Kind:
    """Return the kind of a list of words out of a closed enumeration; a tuple in Python."""
    return Kind(name, list, tuple, lambda value: isinstance(value, list) and all(v in allowed for v in value))


def _is_views(value: Any) -> bool:
    return isinstance(value, dict) and all(k in vocabulary.VIEWS and _is_number(v) for k, v in value.items())


def _is_language(value: Any) -> bool:
    return _matches(r"[a-z]{2}(-[A-Z]{2})?")(value) and value[:2] in vocabulary.LANGUAGES


ID = Kind("id", str, UUID, _is_uuid)
IDS = Kind(
    "ids",
    lambda ids: [str(i) for i in ids],
    lambda ids: tuple(UUID(i) for i in ids),
    lambda v: isinstance(v, list) and all(map(_is_uuid, v)),
)
NUMBER = Kind("number", int, _same, _is_number)
FLAG = Kind("flag", bool, _same, lambda v: isinstance(v, bool))
TIME = Kind("time", instant, parse_instant, _is_time)
POLICY_VERSION = Kind("policy_version", str, _same, _matches(r"[0-9]{1,4}(\.[0-9]{1,4})?"))
ACTOR_ID = Kind("actor_id", str, _same, _matches(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"))
LANGUAGE = Kind("language", str, _same, _is_language)
FINGERPRINTS = Kind(
    "fingerprints", list, tuple, lambda v: isinstance(v, list) and all(map(_matches(r"[0-9a-f]{16,64}"), v))
)
PUBLIC_KEY = Kind("public_key", str, _same, _matches(r"[A-Za-z0-9_-]{43,90}"))
VIEW_POSITIONS = Kind("view_positions", dict, _same, _is_views)

Id = Annotated[UUID, ID]
Ids = Annotated[tuple[UUID, ...], IDS]
OptionalId = Annotated[UUID | None, ID]
Number = Annotated[int, NUMBER]
Flag = Annotated[bool, FLAG]
Time = Annotated[datetime, TIME]
OptionalTime = Annotated[datetime | None, TIME]
PolicyVersion = Annotated[str, POLICY_VERSION]
ActorId = Annotated[str, ACTOR_ID]
OptionalActorId = Annotated[str | None, ACTOR_ID]
Language = Annotated[str, LANGUAGE]
Fingerprints = Annotated[tuple[str, ...], FINGERPRINTS]
PublicKey = Annotated[str, PUBLIC_KEY]
ViewPositions = Annotated[Mapping[str, int], VIEW_POSITIONS]
Purpose = Annotated[str, word("purpose", vocabulary.PURPOSES)]
Purposes = Annotated[tuple[str, ...], words("purposes", vocabulary.PURPOSES)]
Category = Annotated[str, word("category", vocabulary.CATEGORIES)]
Categories = Annotated[tuple[str, ...], words("categories", vocabulary.CATEGORIES)]
CaseKind = Annotated[str, word("case_kind", vocabulary.CASE_KINDS)]
ClosureReason = Annotated[str, word("closure_reason", vocabulary.CLOSURE_REASONS)]
Form = Annotated[str, word("form", vocabulary.FORMS)]
RecipientKind = Annotated[str, word("recipient_kind", vocabulary.RECIPIENT_KINDS)]
Method = Annotated[str, word("method", vocabulary.METHODS)]
VerificationMethod = Annotated[str, word("verification_method", vocabulary.VERIFICATION_METHODS)]
VerificationOutcome = Annotated[str, word("verification_outcome", vocabulary.VERIFICATION_OUTCOMES)]
Channel = Annotated[str, word("channel", vocabulary.CHANNELS)]
Right = Annotated[str, word("right", vocabulary.RIGHTS)]
RefusalGround = Annotated[str, word("refusal_ground", vocabulary.REFUSAL_GROUNDS)]
BasisType = Annotated[str, word("basis_type", vocabulary.BASIS_TYPES)]
Resource = Annotated[str, word("resource", vocabulary.RESOURCES)]

SealedIdentity = Annotated[SealedPart, Sealed("identity")]
SealedMedical = Annotated[SealedPart, Sealed("medical")]
SealedInsurance = Annotated[SealedPart | None, Sealed("insurance")]
SealedCorrespondence = Annotated[SealedPart | None, Sealed("correspondence")]

ENVELOPE: Mapping[str, Kind] = {
    "event_id": ID,
    "schema_version": NUMBER,
    "stream_id": ID,
    "stream_version": NUMBER,
    "occurred_at": TIME,
    "recorded_at": TIME,
    "producer": word("producer", vocabulary.PRODUCERS),
    "purpose": word("purpose_of_use", vocabulary.PURPOSES_OF_USE),
    "legal_basis": word("legal_basis", vocabulary.LEGAL_BASES),
    "policy_version": POLICY_VERSION,
    "subject_ids": IDS,
    "case_id": ID,
    "correlation_id": ID,
    "causation_id": ID,
}
"""The kinds of the envelope; ``type`` is one of the event types, ``actor`` an issuer, an opaque id and a role."""


@cache
def fields_of(event_class: type) -> Mapping[str, Kind | Sealed]:
    """Return field → declaration for the event's own fields. Raises ``TypeError`` on a field without one."""
    declared: dict[str, Kind | Sealed] = {}
    hints = get_type_hints(event_class, include_extras=True)
    for name in (f.name for f in fields(event_class)):
        if name in _COMMON:
            continue
        marks = [m for m in get_args(hints[name]) if isinstance(m, Kind | Sealed)]
        if len(marks) != 1:
            raise TypeError(f"{event_class.__name__}.{name} is not declared sealed or clear")
        declared[name] = marks[0]
    return declared


_COMMON = frozenset(
    {
        "originator_id",
        "originator_version",
        "timestamp",
        "originator_topic",
        "event_id",
        "context",
        "subject_ids",
        "case_id",
    }
)
