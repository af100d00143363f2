"""Legal holds on one person's data as the events leave them."""

from __future__ import annotations

from typing import Any

from domain.instants import instant
from domain.record import Record

Item = dict[str, Any]


class Holds:
    """Every hold, with what of it came too late and under which certificate that was erased."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over."""
        data = record.data
        if record.type in ("HoldPlaced", "HoldIneffective"):
            item = self._items.setdefault(
                data["hold_id"],
                {
                    "id": data["hold_id"],
                    "state": "placed" if record.type == "HoldPlaced" else "ineffective",
                    "ground": data["ground"],
                    "instrument_id": data["instrument_id"],
                    "categories": data["categories"],
                    "case_ids": data["case_ids"],
                    "review_date": data["review_date"],
                    "placed_at": instant(record.occurred_at),
                    "ineffective": [],
                },
            )
            if record.type == "HoldIneffective":
                item["ineffective"].append({k: data[k] for k in ("reason", "certificate_id", "scope_ids")})
        elif record.type == "HoldReleased":
            self._items[data["hold_id"]] |= {"state": "released", "released_at": instant(record.occurred_at)}

    def items(self) -> list[Item]:
        """Return all holds, the first one first."""
        return list(self._items.values())
