"""What each view should hold, computed from the records of the topic alone, written a second time and small.

Rows are ``key → facts``. Times are left out: they are copied from the record. What goes wrong when something is applied
twice, not at all or out of order shows in states, counts, and in which rows there are. A sealed part is the id of the
event it came with, or ``erased``. Of ``search_index`` there are the sources that people are found by, and that one
which is erased has no tags left; which tags the others have takes keys to say, so it is not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
Facts = dict[str, dict[str, Any]]

ERASED = "erased"
VIEWS = (
    *("people", "worklist", "case_page", "consents", "disclosures", "recipients", "requests", "search_index", "forget"),
)
CONSENTS = {
    "ConsentRequested": "asked",
    "ConsentGranted": "granted",
    "ConsentRefused": "refused",
    "ConsentWithdrawn": "withdrawn",
    "ConsentExpired": "expired",
}
DISCLOSURES = {
    "DisclosureRequested": "requested",
    "DisclosureAuthorized": "authorized",
    "DisclosureDenied": "denied",
    "DisclosureReleased": "released",
    "DisclosureCancelled": "cancelled",
}
ERASURES = {
    "ErasureApproved": "approved",
    "ErasureWithheld": "withheld",
    "ErasureResumed": "approved",
    "ErasureFenced": "fenced",
    "ErasureDrained": "drained",
    "ErasureKeysDestroyed": "destroyed",
    "ErasureCertified": "certified",
}
REQUESTS = {"RightsRequestRefused": "refused", "ErasurePreviewed": "previewed", **ERASURES}


@dataclass(frozen=True)
class _Part:
    event: str
    erased_with: frozenset[str]
    """The key scope and the person: either destroyed, and the part is erased."""


def fold(records: Iterable[Record]) -> Facts:
    """Return view → key → facts after these records, which come in the order of their positions."""
    views: Facts = {view: {} for view in VIEWS}
    gone: set[str] = set()
    for record in records:
        type_, data = record["type"], record["data"]
        if type_ == "ErasureKeysDestroyed":
            gone.update(data["scope_ids"], [record["stream_id"]] if data["whole_person"] else [])
        for take in (_people, _cases, _answers, _consents, _disclosures, _recipients, _requests):
            take(views, type_, record["stream_id"], data, record)
    for rows in views.values():
        for row in rows.values():
            row.update({k: _shown(part, gone) for k, part in row.items() if isinstance(part, _Part)})
    return views


def _shown(part: _Part, gone: set[str]) -> str:
    return ERASED if part.erased_with & gone else part.event


def _part(record: Record, name: str) -> _Part | None:
    part = record["sealed"].get(name)
    return part and _Part(record["event_id"], frozenset((part["scope_id"], part["subject_id"])))


def _source(subject: str, value: _Part | None) -> dict[str, Any]:
    return {"subject": subject, "value": value, "erased_and_tagged": False}


def _people(views: Facts, type_: str, stream: str, data: Record, record: Record) -> None:
    if type_ == "SubjectRegistered":
        identity = _part(record, "identity")
        views["people"][stream] = {"state": "registered", "language": data["language"], "identity": identity}
        views["case_page"][stream] = {"identity": identity}
        views["search_index"][stream] = _source(stream, identity)
    elif type_ == "EngagementStarted":
        identity = _part(record, "identity")
        views["people"][stream] |= {"language": data["language"], "identity": identity}
        views["case_page"][stream] = {"identity": identity}
        views["search_index"][stream] = _source(stream, identity)
    elif type_ == "ErasureFenced" and data["whole_person"]:
        views["people"][stream]["state"] = "fenced"
        for consent in views["consents"].values():
            consent["fenced"] = consent["fenced"] or consent["subject"] == stream
    elif type_ == "ErasureKeysDestroyed" and data["whole_person"]:
        views["people"][stream]["state"] = "erased"


def _cases(views: Facts, type_: str, case: str, data: Record, record: Record) -> None:
    listed, page = views["worklist"], views["case_page"]
    if type_ == "CaseOpened":
        about = {"subject": record["subject_ids"][0], "kind": data["kind"], "state": "open", "assignee": None}
        listed[case] = {**about, "open_tasks": 0}
        page[case] = {**about, "reason": None}
    elif type_ == "CaseAssigned":
        listed[case]["assignee"] = page[case]["assignee"] = data["assignee"]
    elif type_ == "CaseClosed":
        listed[case]["state"] = page[case]["state"] = "closed"
        page[case]["reason"] = data["reason"]
    elif type_ == "NoteAdded":
        page[data["note_id"]] = {"case": case, "author": record["actor"]["id"], "note": _part(record, "note")}
    elif type_ == "TaskAdded":
        listed[case]["open_tasks"] += 1
        page[data["task_id"]] = {"case": case, "done": False, "title": _part(record, "title")}
    elif type_ == "TaskCompleted":
        listed[case]["open_tasks"] -= 1
        page[data["task_id"]]["done"] = True


def _answers(views: Facts, type_: str, case: str, data: Record, record: Record) -> None:
    if type_ in ("IntakeSubmitted", "IntakeAmended"):
        parts = {name: _part(record, name) for name in ("medical", "insurance")}
        amended = type_ == "IntakeAmended"
        views["case_page"][data["intake_id"]] = {"case": case, "form": data["form"], "amended": amended, **parts}
        views["search_index"][data["intake_id"]] = _source(record["subject_ids"][0], parts["insurance"])


def _consents(views: Facts, type_: str, subject: str, data: Record, record: Record) -> None:
    if type_ in CONSENTS:
        consent = views["consents"].setdefault(data["consent_id"], {"subject": subject, "fenced": False})
        consent["state"] = CONSENTS[type_]


def _disclosures(views: Facts, type_: str, subject: str, data: Record, record: Record) -> None:
    if type_ == "DisclosureRequested":
        views["disclosures"][data["disclosure_id"]] = {"subject": subject, "recipient": data["recipient_id"]}
    if type_ in DISCLOSURES:
        views["disclosures"][data["disclosure_id"]]["state"] = DISCLOSURES[type_]


def _recipients(views: Facts, type_: str, recipient: str, data: Record, record: Record) -> None:
    if type_ == "RecipientRegistered":
        identity = _part(record, "identity")
        views["recipients"][recipient] = {"kind": data["kind"], "identity": identity}
        views["disclosures"][recipient] = {"identity": identity}
    elif type_ == "AgreementRegistered":
        views["recipients"][data["agreement_id"]] = {"recipient": recipient, "purposes": sorted(data["purposes"])}


def _requests(views: Facts, type_: str, subject: str, data: Record, record: Record) -> None:
    if type_ == "RightsRequestReceived":
        about = {"subject": subject, "right": data["right"], "state": "received", "due": data["due"]}
        views["requests"][data["request_id"]] = about
    elif type_ == "RightsRequestExtended":
        views["requests"][data["request_id"]]["due"] = data["due"]
    elif type_ in REQUESTS or (type_ == "RequesterVerified" and data["outcome"] == "verified"):
        views["requests"][data["request_id"]]["state"] = REQUESTS.get(type_, "verified")
    if type_ in ERASURES:
        views["forget"][data["request_id"]] = {"subject": subject, "step": ERASURES[type_]}
