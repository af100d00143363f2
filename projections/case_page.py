"""The ``case_page`` view: one case with its intakes, notes and tasks, and the identity of the person it is about."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.purges import SealedColumn
from projections.read_model import Handlers, ReadModel
from projections.rows import first, rows
from projections.writes import Statement, Writes, insert, update

_TABLES = """
CREATE TABLE view_case_page_people (
    subject_id uuid PRIMARY KEY,
    identity jsonb
);
CREATE TABLE view_case_page_cases (
    case_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    assignee text,
    opened_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_reason text
) WITH (fillfactor = 80);
CREATE TABLE view_case_page_intakes (
    intake_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    form text NOT NULL,
    form_version integer NOT NULL,
    submitted_at timestamptz NOT NULL,
    amended_at timestamptz,
    medical jsonb,
    insurance jsonb
);
CREATE INDEX ON view_case_page_intakes (case_id);
CREATE TABLE view_case_page_notes (
    note_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    at timestamptz NOT NULL,
    author text NOT NULL,
    note jsonb
);
CREATE INDEX ON view_case_page_notes (case_id);
CREATE TABLE view_case_page_tasks (
    task_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    added_at timestamptz NOT NULL,
    due timestamptz,
    assignee text,
    done_at timestamptz,
    title jsonb
);
CREATE INDEX ON view_case_page_tasks (case_id);
"""

_SET_IDENTITY = update("view_case_page_people", "subject_id", "identity")
_TOUCH = update("view_case_page_cases", "case_id", "updated_at")
_ASSIGN = update("view_case_page_cases", "case_id", "assignee", "updated_at")
_CLOSE = update("view_case_page_cases", "case_id", "state", "closed_at", "closed_reason", "updated_at")
_AMEND = update("view_case_page_intakes", "intake_id", "form", "form_version", "amended_at", "medical", "insurance")
_COMPLETE = update("view_case_page_tasks", "task_id", "done_at")


def _registered(record: Record, writes: Writes) -> None:
    row = {"subject_id": record.stream, "identity": writes.sealed(record, "identity")}
    writes.add(insert("view_case_page_people"), record.stream, row)


def _engaged(record: Record, writes: Writes) -> None:
    row = {"subject_id": record.stream, "identity": writes.sealed(record, "identity")}
    writes.add(_SET_IDENTITY, record.stream, row)


def _opened(record: Record, writes: Writes) -> None:
    row = {
        "case_id": record.stream,
        "subject_id": record.envelope["subject_ids"][0],
        "kind": record.data["kind"],
        "state": "open",
        "opened_at": record.occurred,
        "updated_at": record.recorded,
    }
    writes.add(insert("view_case_page_cases"), record.stream, row)


def _submitted(record: Record, writes: Writes) -> None:
    row = {**_answers(record, writes), "case_id": record.stream, "submitted_at": record.occurred}
    writes.add(insert("view_case_page_intakes"), row["intake_id"], row)
    _change(record, writes, _TOUCH)


def _amended(record: Record, writes: Writes) -> None:
    row = {**_answers(record, writes), "amended_at": record.occurred}
    writes.add(_AMEND, row["intake_id"], row)
    _change(record, writes, _TOUCH)


def _answers(record: Record, writes: Writes) -> dict[str, Any]:
    return {
        "intake_id": record.data["intake_id"],
        "form": record.data["form"],
        "form_version": record.data["form_version"],
        "medical": writes.sealed(record, "medical"),
        "insurance": writes.sealed(record, "insurance"),
    }


def _noted(record: Record, writes: Writes) -> None:
    row = {
        "note_id": record.data["note_id"],
        "case_id": record.stream,
        "at": record.occurred,
        "author": record.envelope["actor"]["id"],
        "note": writes.sealed(record, "note"),
    }
    writes.add(insert("view_case_page_notes"), row["note_id"], row)
    _change(record, writes, _TOUCH)


def _assigned(record: Record, writes: Writes) -> None:
    _change(record, writes, _ASSIGN, assignee=record.data["assignee"])


def _task_added(record: Record, writes: Writes) -> None:
    row = {
        "task_id": record.data["task_id"],
        "case_id": record.stream,
        "added_at": record.occurred,
        "due": record.data["due"],
        "assignee": record.data["assignee"],
        "title": writes.sealed(record, "title"),
    }
    writes.add(insert("view_case_page_tasks"), row["task_id"], row)
    _change(record, writes, _TOUCH)


def _task_completed(record: Record, writes: Writes) -> None:
    task_id = record.data["task_id"]
    writes.add(_COMPLETE, task_id, {"task_id": task_id, "done_at": record.occurred})
    _change(record, writes, _TOUCH)


def _closed(record: Record, writes: Writes) -> None:
    _change(record, writes, _CLOSE, state="closed", closed_at=record.occurred, closed_reason=record.data["reason"])


def _change(record: Record, writes: Writes, statement: Statement, **values: Any) -> None:
    row = {"case_id": record.stream, "updated_at": record.recorded, **values}
    writes.add(statement, record.stream, row)


class CasePage(ReadModel):
    """Cases with all that is shown on their page."""

    name = "case_page"
    version = 2
    tables = _TABLES
    sealed = (
        SealedColumn("view_case_page_people", "identity"),
        SealedColumn("view_case_page_intakes", "medical"),
        SealedColumn("view_case_page_intakes", "insurance"),
        SealedColumn("view_case_page_notes", "note"),
        SealedColumn("view_case_page_tasks", "title"),
    )
    handlers: ClassVar[Handlers] = {
        "SubjectRegistered": _registered,
        "EngagementStarted": _engaged,
        "CaseOpened": _opened,
        "IntakeSubmitted": _submitted,
        "IntakeAmended": _amended,
        "NoteAdded": _noted,
        "CaseAssigned": _assigned,
        "TaskAdded": _task_added,
        "TaskCompleted": _task_completed,
        "CaseClosed": _closed,
    }


_CASE = """
SELECT c.case_id AS id, subject_id, kind, state, assignee, opened_at, updated_at, closed_at, closed_reason, identity
FROM view_case_page_cases AS c LEFT JOIN view_case_page_people USING (subject_id)
WHERE c.case_id = %s
"""

_PARTS = {
    "intakes": """
SELECT intake_id AS id, form, form_version, submitted_at, amended_at, medical, insurance
FROM view_case_page_intakes WHERE case_id = %s ORDER BY submitted_at, intake_id
""",
    "notes": """
SELECT note_id AS id, at, author, note FROM view_case_page_notes WHERE case_id = %s ORDER BY at, note_id
""",
    "tasks": """
SELECT task_id AS id, due, assignee, done_at, title
FROM view_case_page_tasks WHERE case_id = %s ORDER BY added_at, task_id
""",
}


def case(cursor: Cursor, case_id: UUID) -> dict[str, Any] | None:
    """Return one case, or ``None``. Parts that are sealed are ``SealedField.to_json()`` or tombstones.

    ``{"id", "subject_id", "kind", "state", "assignee", "opened_at", "updated_at", "identity": sealed,
    "intakes": [{"id", "form", "form_version", "submitted_at", "amended_at", "medical": sealed, "insurance": sealed or
    None}], "notes": [{"id", "at", "author", "note": sealed}], "tasks": [{"id", "due", "assignee", "done_at",
    "title": sealed}], "closed": {"at", "reason"} or None}``
    """
    cursor.execute(_CASE, (str(case_id),))
    found = first(cursor)
    if found is None:
        return None
    closed = {"at": found.pop("closed_at"), "reason": found.pop("closed_reason")}
    for part, query in _PARTS.items():
        cursor.execute(query, (str(case_id),))
        found[part] = rows(cursor)
    return {**found, "closed": closed if closed["at"] else None}
