"""A case, its sealed parts opened for the caller in one recorded read; the same for JSON and for the page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from api.reads import find
from api.request_scope import caller, rooms
from projections import case_page

MEDICAL = ("reason", "medical_history", "medications", "allergies")
"""What the medical part of an intake holds."""

Opened = dict[str, Any]


def opened_case(case_id: UUID) -> Opened:
    """Return a case as ``GET /v1/cases/{id}`` answers it. Raises ``NotFound`` and what ``Reading.open`` raises."""
    row = find("case_page", "case", lambda: _row(case_id))
    fields = {"identity": row["identity"]}
    for part, names in (("intakes", ("medical", "insurance")), ("notes", ("note",)), ("tasks", ("title",))):
        fields |= {f"{item['id']}.{name}": item[name] for item in row[part] for name in names}
    subject_ids = [UUID(row["subject_id"])]
    opened = rooms().service.reading.open(caller(), "case", fields, subject_ids=subject_ids, case_id=case_id)
    return {
        **row,
        "identity": opened["identity"],
        "intakes": [_intake(item, opened) for item in row["intakes"]],
        "notes": [_part(item, "note", "text", opened) for item in row["notes"]],
        "tasks": [_part(item, "title", "title", opened) for item in row["tasks"]],
    }


def is_tombstone(value: Any) -> bool:
    """Return whether a part stands for what is erased or masked."""
    return isinstance(value, dict) and len(value) == 1 and ("erased" in value or "masked" in value)


def tag(position_or_time: object, *parts: Any) -> str:
    """Return an ETag's text: when the row last changed, and how many of its parts are erased or masked.

    Erasing and masking change what is answered without the row having changed yet.
    """
    erased = sum(_count(part, "erased") for part in parts)
    masked = sum(_count(part, "masked") for part in parts)
    return f"{position_or_time}-{erased}-{masked}"


def _count(value: Any, kind: str) -> int:
    if isinstance(value, dict):
        return int(is_tombstone(value) and kind in value) + sum(_count(v, kind) for v in value.values())
    if isinstance(value, list):
        return sum(_count(v, kind) for v in value)
    return 0


def _row(case_id: UUID) -> Opened | None:
    with rooms().views.cursor() as cursor:
        return case_page.case(cursor, case_id)


def _intake(item: Opened, opened: Opened) -> Opened:
    shown = {name: value for name, value in item.items() if name not in ("medical", "insurance")}
    medical, insurance = opened[f"{item['id']}.medical"], opened[f"{item['id']}.insurance"]
    answers = {name: medical if medical is None or is_tombstone(medical) else medical.get(name) for name in MEDICAL}
    return {**shown, "answers": {**answers, "insurance": insurance}}


def _part(item: Opened, sealed: str, inside: str, opened: Opened) -> Opened:
    value = opened[f"{item['id']}.{sealed}"]
    shown = {name: kept for name, kept in item.items() if name != sealed}
    return {**shown, inside: value if value is None or is_tombstone(value) else value[inside]}
