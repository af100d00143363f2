"""The consent strip: for each recipient and purpose, whether data may go there now, and if not, why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.vocabulary import PURPOSES

ORDER = sorted(PURPOSES, reverse=True)
"""Purposes as columns: treatment first."""
_WHY_NOT = {
    "asked": "asked, not answered yet",
    "refused": "the person refused",
    "withdrawn": "the person withdrew it",
    "expired": "it has run out",
}


@dataclass(frozen=True)
class Cell:
    """One recipient and purpose: ``allowed``, ``pending``, ``blocked``, or ``none`` when the person was never asked.

    ``since`` is when it was granted or withdrawn, ``until`` when it ends; ``reason`` says why not.
    """

    purpose: str
    state: str
    categories: tuple[str, ...] = ()
    until: str | None = None
    since: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One recipient: what it is called (value, tombstone or mask), and its cells in the order of :data:`ORDER`."""

    recipient_id: str
    recipient: Any
    kind: str
    cells: tuple[Cell, ...]


def strip(
    consents: Sequence[Mapping[str, Any]],
    recipients: Mapping[str, Mapping[str, Any]],
    opened: Mapping[str, Any],
    now: datetime,
) -> list[Row]:
    """Return a row for each recipient that a consent names.

    ``recipients``: id to ``{"kind", "agreements"}``; ``opened``: id to what its identity opened to.
    """
    named = dict.fromkeys(rid for consent in consents for rid in consent["recipient_ids"])
    return [
        Row(
            rid,
            opened.get(rid),
            recipients.get(rid, {}).get("kind", ""),
            tuple(_cell(purpose, rid, consents, recipients.get(rid, {}), now) for purpose in ORDER),
        )
        for rid in named
    ]


def _cell(
    purpose: str,
    recipient_id: str,
    consents: Sequence[Mapping[str, Any]],
    recipient: Mapping[str, Any],
    now: datetime,
) -> Cell:
    about = [c for c in consents if c["purpose"] == purpose and recipient_id in c["recipient_ids"]]
    if not about:
        return Cell(purpose, "none")
    granted = [c for c in about if c["state"] == "granted"]
    consent = (granted or about)[-1]
    if granted:
        covered = tuple(sorted({category for c in granted for category in c["categories"]}))
        if _agreed(recipient, purpose, now):
            return Cell(purpose, "allowed", covered, consent["valid_until"], consent["granted_at"])
        return Cell(purpose, "blocked", covered, reason="no agreement in force for this purpose")
    state = "pending" if consent["state"] == "asked" else "blocked"
    since = consent["withdrawn_at"] or consent["valid_until"] if consent["state"] != "asked" else None
    return Cell(purpose, state, tuple(consent["categories"]), since=since, reason=_WHY_NOT[consent["state"]])


def _agreed(recipient: Mapping[str, Any], purpose: str, now: datetime) -> bool:
    return any(
        purpose in agreement["purposes"]
        and datetime.fromisoformat(agreement["valid_from"]) <= now
        and (agreement["valid_until"] is None or now < datetime.fromisoformat(agreement["valid_until"]))
        for agreement in recipient.get("agreements", ())
    )
