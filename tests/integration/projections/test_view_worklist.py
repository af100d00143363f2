import json

import pytest
from view_records import ANA, BEN, CASE, OTHER_CASE, case_opened, event, part, uid

from domain.errors import InvalidInput
from projections.worklist import StateCount, Worklist, cases, counts

DUE_SOON = "2026-03-05T00:00:00.000000Z"
DUE_LATER = "2026-04-05T00:00:00.000000Z"


def on_case(type_: str, data: dict, at: str, case: str = CASE) -> dict:
    return event(type_, case, data, subject=ANA, case=case, at=at)


def task_added(task: str, due: str | None, at: str) -> dict:
    written = on_case("TaskAdded", {"task_id": task, "due": due, "assignee": "m1"}, at)
    return {**written, "sealed": {"title": part(ANA, "medical", uid(20))}}


def numbered_case(number: int, day: int, state: str = "open", assignee: str | None = None) -> list[dict]:
    case = uid(number)
    events = [case_opened(case, ANA, at=f"2026-03-{day:02d}T10:00:00.000000Z")]
    if assignee:
        events.append(on_case("CaseAssigned", {"assignee": assignee}, "2026-04-01T00:00:00.000000Z", case))
    if state == "closed":
        events.append(on_case("CaseClosed", {"reason": "completed"}, "2026-04-02T00:00:00.000000Z", case))
    return events


def ids(page) -> list[str]:
    return [item["id"] for item in page.items]


JOURNEY = (
    case_opened(CASE, ANA),
    on_case("CaseAssigned", {"assignee": "m1"}, "2026-03-01T11:00:00.000000Z"),
    task_added(uid(31), DUE_LATER, "2026-03-01T12:00:00.000000Z"),
    task_added(uid(32), DUE_SOON, "2026-03-01T13:00:00.000000Z"),
    task_added(uid(33), None, "2026-03-01T14:00:00.000000Z"),
    on_case("TaskCompleted", {"task_id": uid(32)}, "2026-03-01T15:00:00.000000Z"),
    case_opened(OTHER_CASE, BEN, at="2026-03-02T09:00:00.000000Z"),
    on_case("CaseClosed", {"reason": "completed"}, "2026-03-03T10:00:00.000000Z", OTHER_CASE),
    on_case("NoteAdded", {"note_id": uid(41)}, "2026-03-04T10:00:00.000000Z"),
)

EXPECTED = [
    {
        "id": OTHER_CASE,
        "subject_id": BEN,
        "kind": "second_opinion",
        "state": "closed",
        "assignee": None,
        "opened_at": "2026-03-02T09:00:00.000000Z",
        "updated_at": "2026-03-03T10:00:00.000000Z",
        "open_tasks": 0,
        "next_due": None,
    },
    {
        "id": CASE,
        "subject_id": ANA,
        "kind": "second_opinion",
        "state": "open",
        "assignee": "m1",
        "opened_at": "2026-03-01T10:00:00.000000Z",
        "updated_at": "2026-03-04T10:00:00.000000Z",
        "open_tasks": 2,
        "next_due": DUE_LATER,
    },
]


@pytest.mark.parametrize("how", ["take", "take_one_by_one"])
def test_cases_are_listed_newest_first_with_their_open_tasks(feed, how):
    worklist = feed(Worklist())
    getattr(worklist, how)(*JOURNEY)
    page = worklist.ask(cases)

    assert (page.items, page.next) == (EXPECTED, None)


@pytest.mark.parametrize("type_", ["IntakeSubmitted", "IntakeAmended", "NoteAdded"])
def test_work_on_a_case_is_seen_in_its_time_of_change(feed, type_):
    worklist = feed(Worklist())
    worklist.take(case_opened(CASE, ANA))
    worklist.take(on_case(type_, {}, "2026-03-04T10:00:00.000000Z"))

    assert [item["updated_at"] for item in worklist.ask(cases).items] == ["2026-03-04T10:00:00.000000Z"]


def test_next_due_is_the_earliest_open_task(feed):
    worklist = feed(Worklist())
    worklist.take(*JOURNEY[:5])

    assert [(item["open_tasks"], item["next_due"]) for item in worklist.ask(cases).items] == [(3, DUE_SOON)]


def test_nothing_sealed_is_kept(feed):
    worklist = feed(Worklist())
    worklist.take(*JOURNEY)
    tables = worklist.rows("view_worklist_cases", "row_to_json(view_worklist_cases)::text", "case_id")
    tasks = worklist.rows("view_worklist_tasks", "row_to_json(view_worklist_tasks)::text", "task_id")

    assert len(tables) == 2
    assert "ck1." not in json.dumps([tables, tasks])


def test_filters_by_state_and_assignee(feed):
    worklist = feed(Worklist())
    for written in (
        numbered_case(1, 1, assignee="m1"),
        numbered_case(2, 2, "closed", assignee="m1"),
        numbered_case(3, 3, assignee="m2"),
        numbered_case(4, 4),
    ):
        worklist.take(*written)

    assert ids(worklist.ask(cases, state="open")) == [uid(4), uid(3), uid(1)]
    assert ids(worklist.ask(cases, assignee="m1")) == [uid(2), uid(1)]
    assert ids(worklist.ask(cases, state="open", assignee="m1")) == [uid(1)]
    assert ids(worklist.ask(cases, state="closed", assignee="m2")) == []


def test_pages_do_not_shift_when_cases_come_in_between(feed):
    worklist = feed(Worklist())
    for number in range(1, 6):
        worklist.take(*numbered_case(number, day=number))
    first = worklist.ask(cases, limit=2)
    worklist.take(*numbered_case(9, day=20))
    second = worklist.ask(cases, limit=2, start=first.next)
    worklist.take(*numbered_case(8, day=21))
    third = worklist.ask(cases, limit=2, start=second.next)

    assert [ids(first), ids(second), ids(third)] == [[uid(5), uid(4)], [uid(3), uid(2)], [uid(1)]]
    assert third.next is None


def test_cases_opened_at_the_same_moment_are_each_listed_once(feed):
    worklist = feed(Worklist())
    for number in range(1, 6):
        worklist.take(*numbered_case(number, day=1))
    seen: list[str] = []
    start = None
    while True:
        page = worklist.ask(cases, limit=2, start=start)
        seen += ids(page)
        start = page.next
        if start is None:
            break

    assert seen == [uid(5), uid(4), uid(3), uid(2), uid(1)]


@pytest.mark.parametrize("start", ["", "%%%", "bm90IGpzb24=", "WzEsMl0=", "WyIyMDI2LTAzLTAxIiwgIngiXQ==", "é"])
def test_a_cursor_that_is_not_ours_is_refused_by_name(feed, start):
    worklist = feed(Worklist())
    with pytest.raises(InvalidInput) as refused:
        worklist.ask(cases, start=start)

    assert [problem.field for problem in refused.value.problems] == ["cursor"]


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_limit_out_of_range_is_refused_by_name(feed, limit):
    worklist = feed(Worklist())
    with pytest.raises(InvalidInput) as refused:
        worklist.ask(cases, limit=limit)

    assert [problem.field for problem in refused.value.problems] == ["limit"]


def test_counts_come_with_the_filters_that_list_what_was_counted(feed):
    worklist = feed(Worklist())
    for number in range(1, 4):
        worklist.take(*numbered_case(number, number, assignee="m1"))
    worklist.take(*numbered_case(4, 4, "closed", assignee="m1"))
    worklist.take(*numbered_case(5, 5, "closed"))

    assert worklist.ask(counts) == [
        StateCount("closed", 2, {"state": "closed"}),
        StateCount("open", 3, {"state": "open"}),
    ]
    assert worklist.ask(counts, "m1") == [
        StateCount("closed", 1, {"assignee": "m1", "state": "closed"}),
        StateCount("open", 3, {"assignee": "m1", "state": "open"}),
    ]
    assert [len(ids(worklist.ask(cases, **count.filters))) for count in worklist.ask(counts, "m1")] == [1, 3]


@pytest.mark.parametrize(
    "filters", [{}, {"state": "open"}, {"assignee": "m1"}, {"state": "open", "assignee": "m1"}], ids=str
)
def test_every_listing_is_served_by_an_index_in_its_order(feed, filters):
    worklist = feed(Worklist())
    worklist.take(*numbered_case(1, 1, assignee="m1"), *numbered_case(2, 2, assignee="m1"))
    start = worklist.ask(cases, limit=1).next
    with worklist.connection, worklist.connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cases(cursor, start=start, **filters)
        cursor.execute(b"EXPLAIN " + cursor.query)
        plan = "\n".join(line for (line,) in cursor)

    assert "Index Scan" in plan
    assert "Sort" not in plan
    assert ("Filter:" in plan) is False
