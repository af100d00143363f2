"""The ``worklist`` view: every case in one row, with nothing personal in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from domain.vocabulary import CASE_STATES
from projections.paging import Page, check_limit, page_of, start_of
from projections.read_model import Handlers, ReadModel
from projections.rows import rows
from projections.writes import Statement, Writes, insert, update

_TABLES = """
CREATE TABLE view_worklist_cases (
    case_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    assignee text,
    opened_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    open_tasks integer NOT NULL,
    next_due timestamptz
) WITH (fillfactor = 80);
CREATE INDEX ON view_worklist_cases (opened_at DESC, case_id DESC);
CREATE INDEX ON view_worklist_cases (state, opened_at DESC, case_id DESC);
CREATE INDEX ON view_worklist_cases (assignee, opened_at DESC, case_id DESC);
CREATE INDEX ON view_worklist_cases (assignee, state, opened_at DESC, case_id DESC);

CREATE TABLE view_worklist_tasks (
    task_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    due timestamptz
);
CREATE INDEX ON view_worklist_tasks (case_id);
"""

_TOUCH = update("view_worklist_cases", "case_id", "updated_at")
_ASSIGN = update("view_worklist_cases", "case_id", "assignee", "updated_at")
_CLOSE = update("view_worklist_cases", "case_id", "state", "updated_at")

_RECOUNT = Statement(
    "view_worklist_cases",
    """
UPDATE view_worklist_cases AS kept
SET open_tasks = (SELECT count(*) FROM view_worklist_tasks AS t WHERE t.case_id = kept.case_id),
    next_due = (SELECT min(due) FROM view_worklist_tasks AS t WHERE t.case_id = kept.case_id),
    updated_at = changed.updated_at
FROM jsonb_populate_recordset(NULL::view_worklist_cases, %s) AS changed WHERE kept.case_id = changed.case_id
""",
    frozenset({"updated_at"}),
)

_END_TASK = Statement(
    "view_worklist_tasks",
    """
DELETE FROM view_worklist_tasks AS t
USING jsonb_populate_recordset(NULL::view_worklist_tasks, %s) AS done
WHERE t.task_id = done.task_id
""",
)


def _opened(record: Record, writes: Writes) -> None:
    row = {
        "case_id": record.stream,
        "subject_id": record.envelope["subject_ids"][0],
        "kind": record.data["kind"],
        "state": "open",
        "opened_at": record.occurred,
        "updated_at": record.recorded,
        "open_tasks": 0,
    }
    writes.add(insert("view_worklist_cases"), record.stream, row)


def _touched(record: Record, writes: Writes) -> None:
    _change(record, writes, _TOUCH)


def _assigned(record: Record, writes: Writes) -> None:
    _change(record, writes, _ASSIGN, assignee=record.data["assignee"])


def _task_added(record: Record, writes: Writes) -> None:
    row = {"task_id": record.data["task_id"], "case_id": record.stream, "due": record.data["due"]}
    writes.add(insert("view_worklist_tasks"), record.stream, row)
    _change(record, writes, _RECOUNT)


def _task_completed(record: Record, writes: Writes) -> None:
    writes.add(_END_TASK, record.stream, {"task_id": record.data["task_id"]})
    _change(record, writes, _RECOUNT)


def _closed(record: Record, writes: Writes) -> None:
    _change(record, writes, _CLOSE, state="closed")


def _change(record: Record, writes: Writes, statement: Statement, **values: Any) -> None:
    row = {"case_id": record.stream, "updated_at": record.recorded, **values}
    writes.add(statement, record.stream, row)


class Worklist(ReadModel):
    """Cases, newest first; tasks are kept while they are open, to count them and find what is due."""

    name = "worklist"
    version = 1
    tables = _TABLES
    handlers: ClassVar[Handlers] = {
        "CaseOpened": _opened,
        "IntakeSubmitted": _touched,
        "IntakeAmended": _touched,
        "NoteAdded": _touched,
        "CaseAssigned": _assigned,
        "TaskAdded": _task_added,
        "TaskCompleted": _task_completed,
        "CaseClosed": _closed,
    }


@dataclass(frozen=True)
class StateCount:
    """How many cases are in a state, and the filters with which :func:`cases` lists exactly those."""

    state: str
    count: int
    filters: dict[str, str]


_COLUMNS = "case_id AS id, subject_id, kind, state, assignee, opened_at, updated_at, open_tasks, next_due"


def cases(
    cursor: Cursor,
    *,
    state: str | None = None,
    assignee: str | None = None,
    limit: int = 50,
    start: str | None = None,
) -> Page:
    """Return a page of cases, newest first; ``start`` is the ``next`` of the page before.

    Items: ``{"id", "subject_id", "kind", "state", "assignee", "opened_at", "updated_at", "open_tasks", "next_due"}``.
    Raises ``InvalidInput`` for a ``limit`` outside 1 to 100 or a ``start`` that is not ours.
    """
    conditions, values = _conditions(state, assignee)
    after = start_of(start)
    if after is not None:
        conditions.append("(opened_at, case_id) < (%s, %s::uuid)")
        values += [after[0], str(after[1])]
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    cursor.execute(
        f"SELECT {_COLUMNS} FROM view_worklist_cases {where} ORDER BY opened_at DESC, case_id DESC LIMIT %s",  # noqa: S608
        (*values, check_limit(limit) + 1),
    )
    return page_of(rows(cursor), limit, "opened_at")


def counts(cursor: Cursor, assignee: str | None = None) -> list[StateCount]:
    """Return how many cases are in each state, of everybody or of one assignee, by state in alphabetical order."""
    conditions, values = _conditions(None, assignee)
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    cursor.execute(f"SELECT state, count(*) FROM view_worklist_cases {where} GROUP BY state", values)  # noqa: S608
    found = dict(cursor.fetchall())
    filters = {} if assignee is None else {"assignee": assignee}
    return [StateCount(state, found.get(state, 0), {**filters, "state": state}) for state in sorted(CASE_STATES)]


def _conditions(state: str | None, assignee: str | None) -> tuple[list[str], list[Any]]:
    given = {"state": state, "assignee": assignee}
    wanted = {column: value for column, value in given.items() if value is not None}
    return [f"{column} = %s" for column in wanted], list(wanted.values())
