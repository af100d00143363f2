"""Casework: the worklist, a case, and everything that is done on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.case_view import opened_case, tag
from api.endpoints import command, query
from api.json_answers import json_response, tagged_response
from api.reads import AFTER, PAGING, actor, actor_parameter, paging, parameters, wait_for_view, word, word_parameter
from api.request_scope import caller, rooms
from api.sample import ERASED, ID, IDENTITY, LATER, MADE, OTHER_ID, THIRD_ID, TIME, done
from api.shapes import IDENTIFIER, INSTANT, NUMBER, TEXT, listed, nullable, one_of, opened, page, ref, thing
from application.permissions import READERS
from domain import vocabulary
from projections import worklist

blueprint = Blueprint("cases", __name__, description="Cases, and the work on them")

_HEAD: dict[str, Any] = {
    "id": IDENTIFIER,
    "subject_id": IDENTIFIER,
    "kind": one_of(vocabulary.CASE_KINDS),
    "state": one_of(vocabulary.CASE_STATES),
    "assignee": nullable(TEXT),
    "opened_at": INSTANT,
    "updated_at": INSTANT,
}
_ROW = thing(**_HEAD, open_tasks=NUMBER, next_due=nullable(INSTANT))
_LIST: dict[str, Any] = {"type": "array", "items": {}}
_ANSWERS = thing(
    reason=opened(TEXT),
    medical_history=opened(_LIST),
    medications=opened(_LIST),
    allergies=opened(_LIST),
    insurance=opened(thing(("member_number",), insurer=TEXT, member_number=nullable(TEXT))),
)
_INTAKE = thing(
    id=IDENTIFIER,
    form=TEXT,
    form_version=NUMBER,
    submitted_at=INSTANT,
    amended_at=nullable(INSTANT),
    answers=_ANSWERS,
)
_CASE = thing(
    **_HEAD,
    identity=opened(ref("Identity")),
    intakes=listed(_INTAKE),
    notes=listed(thing(id=IDENTIFIER, at=INSTANT, author=TEXT, text=opened(TEXT))),
    tasks=listed(
        thing(
            id=IDENTIFIER,
            title=opened(TEXT),
            due=nullable(INSTANT),
            assignee=nullable(TEXT),
            done_at=nullable(INSTANT),
        )
    ),
    closed=nullable(thing(at=INSTANT, reason=one_of(vocabulary.CLOSURE_REASONS))),
)
_EXAMPLE_HEAD = {
    "id": OTHER_ID,
    "subject_id": ID,
    "kind": "second_opinion",
    "state": "open",
    "assignee": "a1",
    "opened_at": TIME,
    "updated_at": TIME,
}
_EXAMPLE_CASE = {
    **_EXAMPLE_HEAD,
    "identity": IDENTITY,
    "intakes": [
        {
            "id": THIRD_ID,
            "form": "medical_intake",
            "form_version": 1,
            "submitted_at": TIME,
            "amended_at": None,
            "answers": {
                "reason": "A second opinion before an operation",
                "medical_history": [{"condition": "Hypertension", "since": "2019", "note": "Well controlled"}],
                "medications": [],
                "allergies": [],
                "insurance": ERASED,
            },
        }
    ],
    "notes": [{"id": ID, "at": TIME, "author": "a1", "text": "Asked the hospital for the imaging."}],
    "tasks": [{"id": ID, "title": "Call the clinic", "due": LATER, "assignee": "a1", "done_at": None}],
    "closed": None,
}
_CASE_PATH = "/v1/cases/<uuid:case_id>"
_ASSIGNED = thing(id=IDENTIFIER, assignee=TEXT, receipt=ref("Receipt"))
_CLOSED = thing(id=IDENTIFIER, state=TEXT, receipt=ref("Receipt"))

command(blueprint, "/v1/cases", "open_case", ref("Made"), MADE)
command(blueprint, f"{_CASE_PATH}/intakes", "submit_intake", ref("Made"), MADE)
command(blueprint, f"{_CASE_PATH}/intakes/<uuid:intake_id>/amendments", "amend_intake", ref("Made"), MADE)
command(blueprint, f"{_CASE_PATH}/notes", "add_note", ref("Made"), MADE)
command(blueprint, f"{_CASE_PATH}/tasks", "add_task", ref("Made"), MADE)
command(blueprint, f"{_CASE_PATH}/tasks/<uuid:task_id>/completion", "complete_task", ref("Made"), MADE)
command(blueprint, f"{_CASE_PATH}/assignments", "assign_case", _ASSIGNED, done(assignee="a1"))
command(blueprint, f"{_CASE_PATH}/closure", "close_case", _CLOSED, done(state="closed"))


@query(
    blueprint,
    "/v1/cases",
    answer=page(_ROW),
    example={"items": [{**_EXAMPLE_HEAD, "open_tasks": 1, "next_due": LATER}], "next": None},
    allowed=READERS["worklist"],
    parameters=[
        AFTER,
        word_parameter("state", vocabulary.CASE_STATES),
        actor_parameter("assignee"),
        *PAGING,
    ],
)
def list_cases() -> Response:
    """List cases.

    Newest first.
    """
    given = parameters("after", "state", "assignee", "limit", "cursor")
    filters: dict[str, Any] = {
        "state": word(given, "state", vocabulary.CASE_STATES),
        "assignee": actor(given, "assignee"),
    }
    bounds = paging(given)
    wait_for_view("worklist", given)
    with rooms().views.cursor() as cursor:
        found = worklist.cases(cursor, **filters, **bounds)
    subjects = [UUID(item["subject_id"]) for item in found.items]
    rooms().service.reading.open(caller(), "worklist", {}, subject_ids=subjects)
    return json_response({"items": found.items, "next": found.next})


@query(
    blueprint,
    _CASE_PATH,
    answer=_CASE,
    example=_EXAMPLE_CASE,
    allowed=READERS["case"],
    parameters=[AFTER],
    missing=True,
    tagged=True,
)
def read_case(case_id: UUID) -> Response:
    """Read a case.

    Its parts are opened for the caller's purpose, and the reading is recorded.
    """
    wait_for_view("case_page", parameters("after"))
    found = opened_case(case_id)
    return tagged_response(found, tag(found["updated_at"], found))
