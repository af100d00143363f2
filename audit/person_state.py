"""A person, their requests and erasures, and who acted in which role, as the events leave them."""

from __future__ import annotations

from typing import Any

from audit.erasures import Erasures
from audit.followed import FOLLOWS, follow
from domain.instants import instant
from domain.record import Record

Item = dict[str, Any]

_REQUEST_STATES = {
    "RightsRequestRefused": "refused",
    "ErasurePreviewed": "previewed",
    "ErasureApproved": "approved",
    "ErasureWithheld": "withheld",
    "ErasureResumed": "approved",
    "ErasureFenced": "fenced",
    "ErasureDrained": "drained",
    "ErasureKeysDestroyed": "destroyed",
    "ErasureCertified": "certified",
}


class Person:
    """What is known of the person, with every part of it sealed or erased."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._subject: Item | None = None

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over."""
        if record.type == "SubjectRegistered":
            self._subject = {
                "id": str(record.stream_id),
                "state": "registered",
                "engagement": record.data["engagement"],
                "language": record.data["language"],
                "registered_at": instant(record.occurred_at),
                "identity": self._erasures.show_field(record, "identity"),
                "notices": [],
            }
        elif self._subject is not None and record.type == "EngagementStarted":
            self._subject |= {
                "engagement": record.data["engagement"],
                "language": record.data["language"],
                "identity": self._erasures.show_field(record, "identity"),
            }
        elif self._subject is not None and record.type == "NoticeServed":
            notice = {"policy_version": record.data["notice_version"], "language": record.data["language"]}
            self._subject["notices"].append(notice | {"at": instant(record.occurred_at)})
        elif self._subject is not None and record.type == "ErasureFenced" and record.data["whole_person"]:
            self._subject["state"] = "fenced"
        elif self._subject is not None and record.type == "ErasureKeysDestroyed" and record.data["whole_person"]:
            self._subject["state"] = "erased"

    def subject(self) -> Item | None:
        """Return the person, or ``None`` before their registration."""
        return self._subject


class Requests:
    """The person's requests, and for each erasure its certificate as far as it has come."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._items: dict[str, Item] = {}
        self._certificates: dict[str, Item] = {}

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over."""
        data = record.data
        if record.type == "RightsRequestReceived":
            self._items[data["request_id"]] = {
                "id": data["request_id"],
                "right": data["right"],
                "channel": data["channel"],
                "categories": data["categories"],
                "case_ids": data["case_ids"],
                "state": "received",
                "received_at": instant(record.occurred_at),
                "due": data["due"],
                "statement": self._erasures.show_field(record, "statement"),
            }
        elif record.type == "RightsRequestExtended":
            self._items[data["request_id"]]["due"] = data["due"]
        elif record.type == "RequesterVerified":
            state = "verified" if data["outcome"] == "verified" else "received"
            self._items[data["request_id"]] |= {"state": state, "verification": data["method"]}
        elif record.type in _REQUEST_STATES:
            request = self._items[data["request_id"]]
            request["state"] = _REQUEST_STATES[record.type]
            if record.type == "RightsRequestRefused":
                explanation = self._erasures.show_field(record, "explanation")
                request |= {"ground": data["ground"], "explanation": explanation}
            self._certify(record)
        elif record.type in FOLLOWS:
            follow(self._certificates[data["certificate_id"]], record)

    def items(self) -> list[Item]:
        """Return all requests."""
        return list(self._items.values())

    def erasures(self) -> list[Item]:
        """Return all erasures from their fence on, with what their certificates state."""
        return list(self._certificates.values())

    def _certify(self, record: Record) -> None:
        data = record.data
        if record.type == "ErasureFenced":
            self._certificates[data["certificate_id"]] = {
                "certificate_id": data["certificate_id"],
                "request_id": data["request_id"],
                "state": "fenced",
                "whole_person": data["whole_person"],
                "scopes": data["scope_ids"],
                "withheld": [
                    {"scope_id": scope, "ground": ground}
                    for scope, ground in zip(data["withheld"], data["withheld_grounds"], strict=True)
                ],
                "fenced_at": instant(record.occurred_at),
            }
        elif record.type == "ErasureDrained":
            self._certificates[data["certificate_id"]] |= {
                "state": "drained",
                "processes": {
                    "acknowledged": data["processes_acknowledged"],
                    "unanswered": data["processes_unanswered"],
                },
            }
        elif record.type == "ErasureKeysDestroyed":
            self._certificates[data["certificate_id"]] |= {
                "state": "destroyed",
                "scopes": data["scope_ids"],
                "destroyed_at": data["destroyed_at"],
                "unrecoverable_after": data["unrecoverable_after"],
                "root_epochs": {"before": data["root_epoch_before"], "after": data["root_epoch_after"]},
                "fingerprints": data["fingerprints"],
            }
        elif record.type == "ErasureCertified":
            self._certificates[data["certificate_id"]] |= {
                "state": "certified",
                "certified_at": instant(record.occurred_at),
                "views": data["view_positions"],
            }


class Principals:
    """Who acted, in which roles, and when first and last."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str, str], Item] = {}
        self.reads = 0

    def apply(self, record: Record) -> None:
        """Take an event in."""
        actor = record.actor
        key = (actor.issuer, actor.id, actor.role)
        item = self._items.setdefault(
            key, {"issuer": actor.issuer, "id": actor.id, "role": actor.role, "first_position": record.position}
        )
        item["last_position"] = record.position
        self.reads += record.type == "AccessRecorded"

    def items(self) -> list[Item]:
        """Return everybody who acted, by issuer, id and role."""
        return [self._items[key] for key in sorted(self._items)]
