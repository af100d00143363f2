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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints
from uuid import UUID

from domain import vocabulary
from domain.instants import instant, parse_instant
from domain.sealed import SealedPart


@dataclass(frozen=True)
class Kind:
    """A kind of clear value: its JSON form, the schema of that form, and the test that a value has it."""

    name: str
    schema: Mapping[str, Any]
    conforms: Callable[[Any], bool]
    encode: Callable[[Any], Any] = lambda value: value
    decode: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Sealed:
    """Marks a field as sealed under a category."""

    category: str


def text(
    name: str, pattern: str, encode: Callable[[Any], Any] = str, decode: Callable[[Any], Any] = lambda value: value
) -> Kind:
    """Return the kind of a text that a pattern describes wholly."""
    compiled = re.compile(pattern)
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return Kind(name, schema, lambda v: isinstance(v, str) and compiled.fullmatch(v) is not None, encode, decode)


def word(name: str, words: Iterable[str]) -> Kind:
    """Return the kind of one word out of a closed enumeration."""
    allowed = frozenset(words)
    return Kind(name, {"enum": sorted(allowed)}, lambda value: isinstance(value, str) and value in allowed)


def several(name: str, kind: Kind) -> Kind:
    """Return the kind of a list whose items are of one kind; a tuple in Python."""
    return Kind(
        name,
        {"type": "array", "items": kind.schema},
        lambda value: isinstance(value, list) and all(map(kind.conforms, value)),
        lambda items: [kind.encode(item) for item in items],
        lambda items: tuple(kind.decode(item) for item in items),
    )


def words(name: str, allowed: Iterable[str]) -> Kind:
    """Return the kind of a list of words out of a closed enumeration."""
    return several(name, word(name, allowed))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_views(value: Any) -> bool:
    return isinstance(value, dict) and all(k in vocabulary.VIEWS and _is_number(v) for k, v in value.items())


ID = text("id", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", str, UUID)
IDS = several("ids", ID)
NUMBER = Kind("number", {"type": "integer"}, _is_number)
FLAG = Kind("flag", {"type": "boolean"}, lambda value: isinstance(value, bool))
TIME = text("time", r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", instant, parse_instant)
POLICY_VERSION = text("policy_version", r"[0-9]{1,4}(\.[0-9]{1,4})?")
ACTOR_ID = text("actor_id", r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
LANGUAGE = text("language", f"({'|'.join(sorted(vocabulary.LANGUAGES))})(-[A-Z]{{2}})?")
FINGERPRINTS = several("fingerprints", text("fingerprint", r"[0-9a-f]{16,64}"))
PUBLIC_KEY = text("public_key", r"[A-Za-z0-9_-]{43}")
VIEW_POSITIONS = Kind(
    "view_positions",
    {
        "type": "object",
        "properties": {view: {"type": "integer"} for view in sorted(vocabulary.VIEWS)},
        "additionalProperties": False,
    },
    _is_views,
    dict,
)

Id = Annotated[UUID, ID]
Ids = Annotated[tuple[UUID, ...], IDS]
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
Delivery = Annotated[str, word("delivery", vocabulary.DELIVERIES)]
DestructionMethod = Annotated[str, word("destruction_method", vocabulary.DESTRUCTION_METHODS)]
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
