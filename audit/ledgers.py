"""Consents and disclosures of one person as the events leave them, each disclosure with the facts that allowed it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from audit.erasures import Erasures
from domain.instants import instant, parse_instant
from domain.record import Record

Item = dict[str, Any]

_CONSENT_STATES = {
    "ConsentRequested": ("asked", "asked_at"),
    "ConsentGranted": ("granted", "granted_at"),
    "ConsentRefused": ("refused", "refused_at"),
    "ConsentWithdrawn": ("withdrawn", "withdrawn_at"),
    "ConsentExpired": ("expired", "expired_at"),
}
_DISCLOSURE_STATES = {
    "DisclosureAuthorized": ("authorized", "authorized"),
    "DisclosureDenied": ("denied", "denied"),
    "DisclosureReleased": ("released", "released"),
    "DisclosureCancelled": ("cancelled", "cancelled"),
}


class Consents:
    """The consent ledger of one person."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._items: dict[str, Item] = {}

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over."""
        if record.type not in _CONSENT_STATES:
            return
        state, moment = _CONSENT_STATES[record.type]
        data = record.data
        item = self._items.setdefault(data["consent_id"], {"id": data["consent_id"]})
        if "consent_purpose" in data:
            item |= {
                "purpose": data["consent_purpose"],
                "recipient_ids": data["recipient_ids"],
                "categories": data["categories"],
                "policy_version": data["notice_version"],
                "language": data["language"],
                "method": data["method"],
                "valid_until": data["valid_until"],
            }
        item |= {"state": state, moment: instant(record.occurred_at), "position": record.position}
        if record.type == "ConsentWithdrawn":
            item["reason"] = self._erasures.show_field(record, "reason")

    def at(self, moment: datetime | None) -> list[Item]:
        """Return all consents as they stand at a moment: one whose time is over has expired, noted or not."""
        return [_expired(item, moment) for item in self._items.values()]

    def one(self, consent_id: str, moment: datetime) -> Item | None:
        """Return one consent as it stands at a moment."""
        item = self._items.get(consent_id)
        return None if item is None else _expired(item, moment)


class Agreements:
    """The recipients and their agreements."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over."""
        if record.type == "AgreementRegistered":
            agreement = {
                "id": record.data["agreement_id"],
                "recipient_id": str(record.stream_id),
                "purposes": record.data["purposes"],
                "valid_from": record.data["valid_from"],
                "valid_until": record.data["valid_until"],
                "position": record.position,
            }
            self._items[agreement["id"]] = agreement

    def one(self, agreement_id: str) -> Item | None:
        """Return one agreement."""
        return self._items.get(agreement_id)


class Disclosures:
    """The disclosure ledger of one person."""

    def __init__(self, erasures: Erasures, consents: Consents, agreements: Agreements) -> None:
        self._erasures = erasures
        self._consents = consents
        self._agreements = agreements
        self._items: dict[str, Item] = {}

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over. Consents and agreements must have taken in what is before it."""
        data = record.data
        if record.type == "DisclosureRequested":
            self._items[data["disclosure_id"]] = {
                "id": data["disclosure_id"],
                "case_id": None if record.case_id is None else str(record.case_id),
                "recipient_id": data["recipient_id"],
                "purpose": data["disclosure_purpose"],
                "categories": data["categories"],
                "basis": {"type": data["basis_type"], "id": data["basis_id"]},
                "state": "requested",
                "requested": _by(record),
            }
        elif record.type in _DISCLOSURE_STATES:
            item = self._items[data["disclosure_id"]]
            item["state"], moment = _DISCLOSURE_STATES[record.type]
            item[moment] = _by(record)
            if "reason" in record.sealed:
                item["reason"] = self._erasures.show_field(record, "reason")
            if record.type == "DisclosureReleased":
                item["source_event_ids"] = data["source_event_ids"]
                item["allowed_by"] = self._facts(record, item)

    def items(self) -> list[Item]:
        """Return all disclosures."""
        return list(self._items.values())

    def _facts(self, record: Record, item: Item) -> Item:
        """Return which rule allowed a release, and the facts it was decided on, as they stood then (policy clause
        3)."""
        data = record.data
        requested, authorized = item["requested"]["actor"], item.get("authorized", {}).get("actor")
        return {
            "policy_clause": "3",
            "policy_version": record.policy_version,
            "consent": self._consents.one(data["basis_id"], record.occurred_at),
            "agreement": self._agreements.one(data["agreement_id"]),
            "second_person": authorized is not None
            and (authorized["issuer"], authorized["id"]) != (requested["issuer"], requested["id"]),
        }


def _expired(item: Item, moment: datetime | None) -> Item:
    until = item.get("valid_until")
    over = item["state"] == "granted" and until is not None and moment is not None and parse_instant(until) <= moment
    return {**item, "state": "expired"} if over else dict(item)


def _by(record: Record) -> Item:
    return {
        "at": instant(record.occurred_at),
        "position": record.position,
        "actor": {"issuer": record.actor.issuer, "id": record.actor.id, "role": record.actor.role},
    }
