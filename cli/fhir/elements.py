"""FHIR's data types as short text and dates. Every reader takes whatever stands there and answers ``None`` for a
wrong type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

Json = Mapping[str, Any]

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?=$|T)")
_ABSENT_SYSTEMS = ("/data-absent-reason", "/v3-NullFlavor")
_SYSTEM_NAMES = {
    "http://snomed.info/sct": "SNOMED CT",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD-10",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD-9-CM",
    "http://hl7.org/fhir/sid/icd-11": "ICD-11",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://loinc.org": "LOINC",
    "http://www.whocc.no/atc": "ATC",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD-10-GM",
    "http://fhir.de/CodeSystem/ifa/pzn": "PZN",
}


def obj(parent: Json, name: str) -> Json:
    """Return an object member, or an empty one."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def objs(parent: Json, name: str) -> list[Json]:
    """Return the objects of a list member; a lone object counts as a list of one."""
    value = parent.get(name)
    if isinstance(value, dict):
        return [value]
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def text(parent: Json, name: str) -> str | None:
    """Return a text member with its white space made single spaces, or ``None`` when there is nothing in it."""
    return _clean(parent.get(name))


def texts(parent: Json, name: str) -> list[str]:
    """Return the texts of a list member; places that hold only an extension (``null``) are left out."""
    value = parent.get(name)
    values = value if isinstance(value, list) else [value]
    return [clean for clean in map(_clean, values) if clean]


def code(parent: Json, name: str) -> str:
    """Return a code member (``status``, ``use``), or ``""``."""
    value = parent.get(name)
    return value.strip() if isinstance(value, str) else ""


def codes(concept: Json) -> set[str]:
    """Return the codes of a CodeableConcept, whatever their system."""
    return {code(c, "code") for c in objs(concept, "coding")} - {""}


def concept_text(concept: Json) -> str | None:
    """Return what a CodeableConcept says: its text, else its best display, else its code with the system's name."""
    written = text(concept, "text")
    if written:
        return written
    codings = [c for c in objs(concept, "coding") if not code(c, "system").endswith(_ABSENT_SYSTEMS)]
    codings.sort(key=lambda c: c.get("userSelected") is not True)
    for coding in codings:
        if shown := text(coding, "display"):
            return shown
    for coding in codings:
        if bare := text(coding, "code"):
            name = _SYSTEM_NAMES.get(code(coding, "system"))
            return f"{name} {bare}" if name else bare
    return None


def partial_date(value: Any) -> str | None:
    """Return the date of a ``date``, ``dateTime`` or ``instant`` as precisely as it is given, or ``None`` when it is
    none.

    The day is the one written, in the offset it was written in.
    """
    match = _DATE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day = match.groups()
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    return "-".join(part for part in (year, month, day) if part)


def comparable_instant(value: Any) -> str:
    """Return a time as text that sorts in time whatever offset it was written in; ``""`` when it is none."""
    if not isinstance(value, str):
        return ""
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return partial_date(value) or ""


def quantity_text(quantity: Json) -> str | None:
    """Return an amount with its unit, as for an age or a dose."""
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    unit = text(quantity, "unit") or text(quantity, "code")
    number = f"{value:g}" if abs(value) < 10**6 else str(value)
    return f"{code(quantity, 'comparator')}{number}{' ' + unit if unit else ''}"


def span_text(low: str | None, high: str | None) -> str | None:
    """Return a range or period as text."""
    if low and high:
        return f"{low} to {high}"
    if low:
        return f"from {low}"
    return f"until {high}" if high else None


def notes_of(resource: Json) -> list[str]:
    """Return the texts of a resource's notes."""
    return [note for note in (text(n, "text") for n in objs(resource, "note")) if note]


def _clean(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return " ".join(value.split()) or None
