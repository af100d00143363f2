"""Condition, AllergyIntolerance and MedicationRequest as entries of an intake's lists.

Each reader answers :class:`Taken` or :class:`LeftOut` with a reason code. Texts are never cut off silently: what does
not fit a field goes into the note, and what does not fit a note goes into further entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from application.schemas.casework import AllergySchema, ConditionSchema, MedicationSchema
from cli.fhir.accepted import pieces, refused_fields, shorten
from cli.fhir.dosage import dosage_text
from cli.fhir.elements import (
    Json,
    code,
    codes,
    concept_text,
    notes_of,
    obj,
    objs,
    partial_date,
    quantity_text,
    span_text,
    text,
)

_LONGEST_NOTE = 1900
"""Leaves room for what is said when entries are put together; the service takes 2,000 characters."""
_LONGEST_FIELD = 300


@dataclass(frozen=True)
class Taken:
    """Entries of one list (``medical_history``, ``allergies``, ``medications``); ``problems`` say what was left out
    of them."""

    answers: str
    entries: tuple[dict[str, Any], ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A resource that is not taken, with the reason's code."""

    reason: str


Medication = Callable[[Json], str | None]
"""Finds the name behind a reference to a Medication."""


def map_condition(resource: Json) -> Taken | LeftOut:
    """Map a Condition; what was refuted or entered in error is left out."""
    verification = codes(obj(resource, "verificationStatus"))
    if refused := _withdrawn(verification):
        return LeftOut(refused)
    name = concept_text(obj(resource, "code"))
    if name is None:
        return LeftOut("no-code")
    status = codes(obj(resource, "clinicalStatus")) - {"active"}
    since, onset = _timing(resource, "onset")
    ended, abatement = _timing(resource, "abatement")
    remarks = [
        *sorted(verification & {"unconfirmed", "provisional", "differential"}),
        " ".join(filter(None, [*sorted(status), ended])) if status or ended else None,
        f"onset {onset}" if onset else None,
        f"abated {abatement}" if abatement else None,
        _labelled("severity", concept_text(obj(resource, "severity"))),
        _labelled("site", _joined(objs(resource, "bodySite"))),
        *notes_of(resource),
    ]
    return _entries("medical_history", ConditionSchema, "condition", name, {"since": since}, remarks)


def map_allergy(resource: Json) -> Taken | LeftOut:
    """Map an AllergyIntolerance; the worst severity of its reactions counts."""
    verification = codes(obj(resource, "verificationStatus"))
    if refused := _withdrawn(verification):
        return LeftOut(refused)
    reactions = objs(resource, "reaction")
    substances = [s for s in (concept_text(obj(r, "substance")) for r in reactions) if s]
    name = concept_text(obj(resource, "code")) or next(iter(substances), None)
    if name is None:
        return LeftOut("no-code")
    shown = [m for r in reactions for m in (_joined(_manifestations(r)), text(r, "description")) if m]
    severities = [code(r, "severity") for r in reactions]
    reaction, rest = shorten("; ".join(dict.fromkeys(shown)), _LONGEST_FIELD)
    since, onset = _timing(resource, "onset")
    criticality = code(resource, "criticality")
    remarks = [
        rest,
        *sorted(verification & {"unconfirmed", "presumed"}),
        *sorted(codes(obj(resource, "clinicalStatus")) - {"active"}),
        f"criticality {criticality}" if criticality else None,
        code(resource, "type") or None,
        f"since {since}" if since else None,
        f"onset {onset}" if onset else None,
        *notes_of(resource),
    ]
    severity = next((s for s in ("severe", "moderate", "mild") if s in severities), None)
    return _entries(
        "allergies", AllergySchema, "substance", name, {"reaction": reaction, "severity": severity}, remarks
    )


def map_medication(resource: Json, medication: Medication) -> Taken | LeftOut:
    """Map a MedicationRequest; what was never to be taken (draft, cancelled, proposed, forbidden) is left out."""
    status, intent = code(resource, "status"), code(resource, "intent")
    if status in ("entered-in-error", "cancelled", "draft"):
        return LeftOut(status)
    if intent in ("proposal", "option"):
        return LeftOut("proposal")
    if resource.get("doNotPerform") is True:
        return LeftOut("do-not-perform")
    name = _medication_name(resource, medication)
    if name is None:
        return LeftOut("no-code")
    dose, rest = shorten(dosage_text(objs(resource, "dosageInstruction")), _LONGEST_FIELD)
    remarks = [
        rest,
        status if status not in ("active", "") else None,
        _labelled("status reason", concept_text(obj(resource, "statusReason"))),
        _labelled("for", _joined(objs(resource, "reasonCode"))),
        *notes_of(resource),
    ]
    since = partial_date(resource.get("authoredOn"))
    return _entries("medications", MedicationSchema, "name", name, {"dose": dose, "since": since}, remarks)


def death(since: str | None) -> dict[str, Any]:
    """Return the entry that tells a case manager that the person has died."""
    return {"condition": "Deceased"} | ({"since": since} if since else {})


def _entries(
    answers: str, schema: type, named: str, name: str, fields: dict[str, str | None], remarks: list[str | None]
) -> Taken | LeftOut:
    """Build entries of one list, and let go of what the service would refuse, saying so."""
    short, rest = shorten(name, _LONGEST_FIELD - 20)
    note = "; ".join(dict.fromkeys(r for r in [rest, *remarks] if r))
    body = {named: short} | {key: value for key, value in fields.items() if value}
    notes = pieces(note, _LONGEST_NOTE) or [""]
    entries, problems = [], []
    for number, piece in enumerate(notes):
        entry = body if number == 0 else {named: f"{short} ({number + 1} of {len(notes)})"}
        entry = entry | ({"note": piece} if piece else {})
        refused = refused_fields(schema, entry)
        if refused & {named, "_schema"}:
            return LeftOut("text-not-accepted")
        problems += [f"{field.replace('_', '-')}-not-accepted" for field in sorted(refused)]
        entries.append({key: value for key, value in entry.items() if key not in refused})
    return Taken(answers, tuple(entries), tuple(problems))


def _timing(resource: Json, name: str) -> tuple[str | None, str | None]:
    """Return an ``onset[x]`` or ``abatement[x]`` as a date, or else as text."""
    moment = resource.get(f"{name}DateTime")
    if moment is not None:
        found = partial_date(moment)
        return found, None if found else text(resource, f"{name}DateTime")
    period = obj(resource, f"{name}Period")
    if period:
        start, end = partial_date(period.get("start")), partial_date(period.get("end"))
        return start, f"until {end}" if end else None
    age = quantity_text(obj(resource, f"{name}Age"))
    range_ = obj(resource, f"{name}Range")
    between = span_text(quantity_text(obj(range_, "low")), quantity_text(obj(range_, "high")))
    yes = "yes" if resource.get(f"{name}Boolean") is True else None
    return None, (f"at age {age}" if age else None) or between or text(resource, f"{name}String") or yes


def _medication_name(resource: Json, medication: Medication) -> str | None:
    given = obj(resource, "medication")  # R5 puts both forms in here
    concept = obj(resource, "medicationCodeableConcept") or obj(given, "concept")
    reference = obj(resource, "medicationReference") or obj(given, "reference")
    return concept_text(concept) or medication(reference) or text(reference, "display")


def _manifestations(reaction: Json) -> list[Json]:
    return [obj(m, "concept") or m for m in objs(reaction, "manifestation")]


def _withdrawn(verification: set[str]) -> str | None:
    return next((word for word in ("entered-in-error", "refuted") if word in verification), None)


def _joined(concepts: list[Json]) -> str | None:
    return ", ".join(t for t in map(concept_text, concepts) if t) or None


def _labelled(label: str, value: str | None) -> str | None:
    return f"{label}: {value}" if value else None
