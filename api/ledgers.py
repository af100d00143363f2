"""Reading a person's ledgers: an empty one of a person who exists is a list, of anybody else it is 404."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from api.reads import find
from api.request_scope import caller, rooms
from projections import disclosures, people


def check_person(subject_id: UUID, items: list[dict[str, Any]]) -> None:
    """Raise ``NotFound`` when a ledger is empty because there is no such person."""
    if items:
        return

    def look() -> dict[str, Any] | None:
        with rooms().views.cursor() as cursor:
            return people.person(cursor, subject_id)

    find("people", "person", look)


def opened_disclosures(subject_id: UUID) -> list[dict[str, Any]]:
    """Return a person's disclosures with the recipients' names opened, in one recorded read."""
    with rooms().views.cursor() as cursor:
        items = disclosures.disclosures_of(cursor, subject_id)
    check_person(subject_id, items)
    fields = {item["id"]: item["recipient"] for item in items}
    opened = rooms().service.reading.open(caller(), "disclosures", fields, subject_ids=[subject_id])
    return [{**item, "recipient": opened[item["id"]]} for item in items]
