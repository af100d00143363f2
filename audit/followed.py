"""What has followed a certified erasure: recipients owed notice, told and answering; paper destroyed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.record import Record

Item = dict[str, Any]


def follow(erasure: Item, record: Record) -> None:
    """Add to an erasure what one of the events in :data:`FOLLOWS` says; lists are there once they have an entry."""
    FOLLOWS[record.type](erasure, record)


def _scheduled(erasure: Item, record: Record) -> None:
    said = {name: record.data[name] for name in ("recipient_id", "disclosure_ids", "due")}
    erasure.setdefault("recipients", []).append({**said, "sent": None, "acknowledged": None})


def _notified(erasure: Item, record: Record) -> None:
    if record.data["delivery"] == "delivered":
        _recipient(erasure, record)["sent"] = record.data["sent"]


def _acknowledged(erasure: Item, record: Record) -> None:
    _recipient(erasure, record)["acknowledged"] = record.data["acknowledged"]


def _paper(erasure: Item, record: Record) -> None:
    said = {name: record.data[name] for name in ("report_id", "method", "documents", "destroyed")}
    erasure.setdefault("paper", []).append(said)


def _recipient(erasure: Item, record: Record) -> Item:
    found: Item = next(r for r in erasure["recipients"] if r["recipient_id"] == record.data["recipient_id"])
    return found


FOLLOWS: Mapping[str, Callable[[Item, Record], None]] = {
    "RecipientNotificationScheduled": _scheduled,
    "RecipientNotifiedOfErasure": _notified,
    "RecipientAcknowledgedErasure": _acknowledged,
    "PaperRecordsDestroyed": _paper,
}
"""Event type to what it adds."""
