from uuid import UUID

import pytest
from view_records import ANA, CASE, case_opened, event, kept, part, registered, uid

from projections.case_page import CasePage, case

MEDICAL = part(ANA, "medical", uid(20), "ck1.MEDICAL")
AMENDED = part(ANA, "medical", uid(20), "ck1.AMENDED")
INSURANCE = part(ANA, "insurance", uid(21), "ck1.INSURANCE")
NOTE = part(ANA, "medical", uid(20), "ck1.NOTE")
TITLE = part(ANA, "medical", uid(20), "ck1.TITLE")


def intake(type_: str, at: str, sealed: dict, version: int = 1) -> dict:
    data = {"intake_id": uid(30), "form": "medical_intake", "form_version": version, "notice_version": "1"}
    return event(type_, CASE, data, subject=ANA, case=CASE, at=at, sealed=sealed)


def on_case(type_: str, data: dict, at: str, sealed: dict | None = None, actor: str = "m1") -> dict:
    return event(type_, CASE, data, subject=ANA, case=CASE, at=at, sealed=sealed, actor=actor)


JOURNEY = (
    registered(ANA, uid(10)),
    case_opened(CASE, ANA),
    intake("IntakeSubmitted", "2026-03-01T11:00:00.000000Z", {"medical": MEDICAL, "insurance": INSURANCE}),
    on_case("CaseAssigned", {"assignee": "m1"}, "2026-03-01T12:00:00.000000Z"),
    on_case("NoteAdded", {"note_id": uid(41)}, "2026-03-02T08:00:00.000000Z", {"note": NOTE}, actor="m2"),
    on_case(
        "TaskAdded",
        {"task_id": uid(51), "due": "2026-03-09T00:00:00.000000Z", "assignee": "m1"},
        "2026-03-02T09:00:00.000000Z",
        {"title": TITLE},
    ),
    on_case(
        "TaskAdded",
        {"task_id": uid(50), "due": None, "assignee": None},
        "2026-03-02T10:00:00.000000Z",
        {"title": TITLE},
    ),
    on_case("TaskCompleted", {"task_id": uid(51)}, "2026-03-03T09:00:00.000000Z"),
    intake("IntakeAmended", "2026-03-04T11:00:00.000000Z", {"medical": AMENDED}, version=2),
    on_case(
        "CaseClosed",
        {"reason": "completed"},
        "2026-03-05T10:00:00.000000Z",
        {"remark": part(ANA, "correspondence", uid(22), "ck1.REMARK")},
    ),
)

EXPECTED = {
    "id": CASE,
    "subject_id": ANA,
    "kind": "second_opinion",
    "state": "closed",
    "assignee": "m1",
    "opened_at": "2026-03-01T10:00:00.000000Z",
    "updated_at": "2026-03-05T10:00:00.000000Z",
    "identity": kept(part(ANA, "identity", uid(10)), ANA, "SubjectRegistered", "identity"),
    "intakes": [
        {
            "id": uid(30),
            "form": "medical_intake",
            "form_version": 2,
            "submitted_at": "2026-03-01T11:00:00.000000Z",
            "amended_at": "2026-03-04T11:00:00.000000Z",
            "medical": kept(AMENDED, CASE, "IntakeAmended", "medical"),
            "insurance": None,
        }
    ],
    "notes": [
        {
            "id": uid(41),
            "at": "2026-03-02T08:00:00.000000Z",
            "author": "m2",
            "note": kept(NOTE, CASE, "NoteAdded", "note"),
        }
    ],
    "tasks": [
        {
            "id": uid(51),
            "due": "2026-03-09T00:00:00.000000Z",
            "assignee": "m1",
            "done_at": "2026-03-03T09:00:00.000000Z",
            "title": kept(TITLE, CASE, "TaskAdded", "title"),
        },
        {
            "id": uid(50),
            "due": None,
            "assignee": None,
            "done_at": None,
            "title": kept(TITLE, CASE, "TaskAdded", "title"),
        },
    ],
    "closed": {"at": "2026-03-05T10:00:00.000000Z", "reason": "completed"},
}


@pytest.mark.parametrize("how", ["take", "take_one_by_one"])
def test_a_case_is_shown_with_all_its_parts_sealed(feed, how):
    page = feed(CasePage())
    getattr(page, how)(*JOURNEY)

    assert page.ask(case, UUID(CASE)) == EXPECTED


def test_an_open_case_with_an_intake_as_it_came_in(feed):
    page = feed(CasePage())
    page.take(*JOURNEY[:3])
    shown = page.ask(case, UUID(CASE))

    assert (shown["state"], shown["closed"], shown["notes"], shown["tasks"]) == ("open", None, [], [])
    assert shown["intakes"] == [
        {
            "id": uid(30),
            "form": "medical_intake",
            "form_version": 1,
            "submitted_at": "2026-03-01T11:00:00.000000Z",
            "amended_at": None,
            "medical": kept(MEDICAL, CASE, "IntakeSubmitted", "medical"),
            "insurance": kept(INSURANCE, CASE, "IntakeSubmitted", "insurance"),
        }
    ]


def test_a_case_nobody_opened_is_not_shown(feed):
    assert feed(CasePage()).ask(case, UUID(uid(77))) is None
