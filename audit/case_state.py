"""Cases as the events leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit.erasures import Erasures
from domain.instants import instant
from domain.record import Record

Item = dict[str, Any]


class Cases:
    """The cases of one person."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures
        self._items: dict[str, Item] = {}
        self._handlers: dict[str, Callable[[Record, Item], None]] = {
            "IntakeSubmitted": self._intake_submitted,
            "IntakeAmended": self._intake_amended,
            "NoteAdded": self._note_added,
            "CaseAssigned": self._assigned,
            "TaskAdded": self._task_added,
            "TaskCompleted": self._task_completed,
            "CaseClosed": self._closed,
        }

    def apply(self, record: Record) -> None:
        """Take an event in; others are passed over."""
        if record.type == "CaseOpened":
            self._items[str(record.stream_id)] = {
                "id": str(record.stream_id),
                "subject_id": str(record.subject_ids[0]),
                "kind": record.data["kind"],
                "engagement": record.data["engagement"],
                "state": "open",
                "assignee": None,
                "opened_at": instant(record.occurred_at),
                "updated_at": instant(record.occurred_at),
                "intakes": {},
                "notes": [],
                "tasks": {},
                "closed": None,
            }
        elif record.type in self._handlers:
            item = self._items[str(record.stream_id)]
            item["updated_at"] = instant(record.occurred_at)
            self._handlers[record.type](record, item)

    def items(self) -> list[Item]:
        """Return all cases."""
        return [
            {**item, "intakes": list(item["intakes"].values()), "tasks": list(item["tasks"].values())}
            for item in self._items.values()
        ]

    def _intake_submitted(self, record: Record, case: Item) -> None:
        intake = {"id": record.data["intake_id"], "submitted_at": instant(record.occurred_at), "amended_at": None}
        case["intakes"][record.data["intake_id"]] = intake | self._answers(record)

    def _intake_amended(self, record: Record, case: Item) -> None:
        intake = case["intakes"][record.data["intake_id"]]
        intake |= self._answers(record) | {"amended_at": instant(record.occurred_at)}

    def _answers(self, record: Record) -> Item:
        return {
            "form": record.data["form"],
            "form_version": record.data["form_version"],
            "policy_version": record.data["notice_version"],
            "event_id": str(record.event_id),
            "medical": self._erasures.show_field(record, "medical"),
            "insurance": self._erasures.show_field(record, "insurance"),
        }

    def _note_added(self, record: Record, case: Item) -> None:
        note = self._erasures.show_field(record, "note")
        at = instant(record.occurred_at)
        case["notes"].append({"id": record.data["note_id"], "at": at, "author": record.actor.id, "note": note})

    def _assigned(self, record: Record, case: Item) -> None:
        case["assignee"] = record.data["assignee"]

    def _task_added(self, record: Record, case: Item) -> None:
        case["tasks"][record.data["task_id"]] = {
            "id": record.data["task_id"],
            "due": record.data["due"],
            "assignee": record.data["assignee"],
            "title": self._erasures.show_field(record, "title"),
            "done_at": None,
        }

    def _task_completed(self, record: Record, case: Item) -> None:
        case["tasks"][record.data["task_id"]]["done_at"] = instant(record.occurred_at)

    def _closed(self, record: Record, case: Item) -> None:
        remark = self._erasures.show_field(record, "remark")
        case["state"] = "closed"
        case["closed"] = {"at": instant(record.occurred_at), "reason": record.data["reason"], "remark": remark}
