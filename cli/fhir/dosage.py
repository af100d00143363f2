"""FHIR's Dosage as one line of text."""

from __future__ import annotations

from collections.abc import Sequence

from cli.fhir.elements import Json, concept_text, obj, objs, quantity_text, span_text, text

_UNITS = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}


def dosage_text(instructions: Sequence[Json]) -> str:
    """Return dosage instructions as written, or put together from dose, timing and route; ``""`` when there is
    nothing."""
    return "; ".join(dict.fromkeys(t for t in map(_instruction, instructions) if t))


def _instruction(dosage: Json) -> str | None:
    written = text(dosage, "text") or text(dosage, "patientInstruction")
    if written:
        return written
    timing = obj(dosage, "timing")
    parts = [
        *(_dose(d) for d in objs(dosage, "doseAndRate")),
        concept_text(obj(timing, "code")) or _repeat(obj(timing, "repeat")),
        concept_text(obj(dosage, "route")),
        "as needed" if dosage.get("asNeededBoolean") is True else None,
        _labelled("as needed for", concept_text(obj(dosage, "asNeededCodeableConcept"))),
    ]
    return ", ".join(part for part in parts if part) or None


def _dose(rate: Json) -> str | None:
    range_ = obj(rate, "doseRange")
    between = span_text(quantity_text(obj(range_, "low")), quantity_text(obj(range_, "high")))
    return quantity_text(obj(rate, "doseQuantity")) or between


def _repeat(repeat: Json) -> str | None:
    times, period = repeat.get("frequency", 1), repeat.get("period")
    unit = _UNITS.get(text(repeat, "periodUnit") or "")
    if unit is None or not _number(times) or not _number(period):
        return None
    every = unit if period == 1 else f"{period:g} {unit}s"
    return f"{times:g} time{'' if times == 1 else 's'} every {every}"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**6


def _labelled(label: str, value: str | None) -> str | None:
    return f"{label} {value}" if value else None
