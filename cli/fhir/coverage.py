"""FHIR's Coverage as an intake's insurance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from application.schemas.casework import InsuranceSchema
from cli.fhir.accepted import refused_fields, shorten
from cli.fhir.clinical import LeftOut
from cli.fhir.elements import Json, code, codes, concept_text, obj, objs, partial_date, text
from cli.fhir.references import parse_reference

_LONGEST_INSURER = 200

Organization = Callable[[Json], str | None]
"""Finds the name behind a reference to an Organization."""


@dataclass(frozen=True)
class Insurance:
    """One insurance; the lower ``order`` and the later ``start`` come first."""

    order: int
    start: str
    body: dict[str, Any]
    problems: tuple[str, ...] = ()


def map_coverage(resource: Json, organization: Organization) -> Insurance | LeftOut:
    """Map a Coverage that is in force or was; somebody paying for themselves is no insurance."""
    status = code(resource, "status")
    if status in ("entered-in-error", "cancelled", "draft"):
        return LeftOut(status)
    payors = [*objs(resource, "payor"), *objs(resource, "insurer")]  # R5 says insurer
    insuring = [p for p in payors if _insures(p)]
    if payors and not insuring:
        return LeftOut("self-pay")
    named = (organization(p) or text(p, "display") for p in insuring)
    insurer = next(filter(None, named), None) or _plan(resource)
    if insurer is None:
        return LeftOut("no-insurer")
    name, rest = shorten(insurer, _LONGEST_INSURER)
    number = _member_number(resource)
    body = {"insurer": name} | ({"member_number": number} if number else {})
    refused = refused_fields(InsuranceSchema, body)
    if rest or "insurer" in refused:
        return LeftOut("text-not-accepted")
    order = resource.get("order")
    return Insurance(
        order if isinstance(order, int) and not isinstance(order, bool) else 1,
        partial_date(obj(resource, "period").get("start")) or "",
        {key: value for key, value in body.items() if key not in refused},
        tuple(f"{field.replace('_', '-')}-not-accepted" for field in sorted(refused)),
    )


def in_order(insurances: Sequence[Insurance]) -> list[Insurance]:
    """Return different insurances, the first to ask first."""
    later_first = sorted(insurances, key=lambda i: (i.start, sorted(i.body.items())), reverse=True)
    distinct: dict[tuple[Any, ...], Insurance] = {}
    for insurance in sorted(later_first, key=lambda i: i.order):
        distinct.setdefault(tuple(sorted(insurance.body.items())), insurance)
    return list(distinct.values())


def _insures(payor: Json) -> bool:
    kinds = {code(payor, "type"), *(reference.type for reference in parse_reference(payor))}
    return not kinds & {"Patient", "RelatedPerson"}


def _plan(resource: Json) -> str | None:
    named = [t for t in (text(c, "name") for c in objs(resource, "class")) if t]
    return next(iter(named), None) or concept_text(obj(resource, "type"))


def _member_number(resource: Json) -> str | None:
    identifiers = [i for i in objs(resource, "identifier") if text(i, "value")]
    member = [i for i in identifiers if "MB" in codes(obj(i, "type"))]
    subscriber = resource.get("subscriberId")
    if isinstance(subscriber, list):  # R5: Identifiers
        subscriber = next((text(s, "value") for s in objs(resource, "subscriberId")), None)
    first = next((text(i, "value") for i in [*member, *([] if subscriber else identifiers)]), None)
    return first or (" ".join(subscriber.split()) if isinstance(subscriber, str) else None) or None
