"""FHIR's Encounters as the reason of an intake: why the person was last seen, or is to be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from application.schemas.casework import MedicalIntakeSchema
from cli.fhir.accepted import refused_fields, shorten
from cli.fhir.addresses import Key
from cli.fhir.clinical import LeftOut
from cli.fhir.elements import Json, code, comparable_instant, concept_text, obj, objs, partial_date, text

WITHOUT_REASON = "Imported record"
_LONGEST_REASON = 4000


@dataclass(frozen=True)
class Visit:
    """One encounter: when (to compare, and to show), why in words, why by reference, and what kind of visit.

    A reference is the keys that the condition may have, and how the encounter itself calls it.
    """

    at: str
    day: str | None
    reasons: tuple[str, ...]
    references: tuple[tuple[tuple[Key, ...], str | None], ...]
    kind: str | None


def map_encounter(resource: Json, keys: Callable[[Json], tuple[Key, ...]]) -> Visit | LeftOut:
    """Map an Encounter; one that was cancelled or entered in error is left out. ``keys`` reads a reference to a
    condition."""
    status = code(resource, "status")
    if status in ("entered-in-error", "cancelled"):
        return LeftOut(status)
    reasons = [*objs(resource, "reasonCode"), *(v for r in objs(resource, "reason") for v in objs(r, "value"))]
    concepts = [obj(r, "concept") or r for r in reasons]
    references = [*objs(resource, "reasonReference"), *(obj(r, "reference") for r in reasons if "reference" in r)]
    kinds = [*objs(resource, "type"), *objs(resource, "serviceType")]
    start = obj(resource, "period").get("start") or obj(resource, "actualPeriod").get("start")
    return Visit(
        comparable_instant(start),
        partial_date(start),
        tuple(dict.fromkeys(t for t in map(concept_text, concepts) if t)),
        tuple((keys(reference), text(reference, "display")) for reference in references),
        next((t for t in map(concept_text, kinds) if t), None) or text(obj(resource, "class"), "display"),
    )


def reason_of(visits: Sequence[Visit], conditions: Mapping[Key, str]) -> tuple[str, bool]:
    """Return the reason of the last visit that states one, else the kind of the last visit; and whether that is all
    of it.

    ``conditions`` are the names of the person's conditions by their keys.
    """
    latest = sorted(visits, key=lambda v: (v.at, v.reasons, v.kind or ""), reverse=True)
    named = [(v, list(dict.fromkeys([*v.reasons, *_referred(v, conditions)]))) for v in latest]
    for visit, reasons in [*((v, r) for v, r in named if r), *((v, []) for v in latest if v.kind)]:
        about = ", ".join(filter(None, [visit.kind if reasons else None, visit.day]))
        said = "; ".join(reasons) or str(visit.kind)
        written, rest = shorten(f"{said} ({about})" if about else said, _LONGEST_REASON)
        if not refused_fields(MedicalIntakeSchema, {"reason": written}):
            return written, not rest
    return WITHOUT_REASON, True


def _referred(visit: Visit, conditions: Mapping[Key, str]) -> list[str]:
    named = (next((conditions[k] for k in keys if k in conditions), display) for keys, display in visit.references)
    return [name for name in named if name]
