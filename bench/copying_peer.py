"""The quickest way we know to bring a topic into tables: kafka-python's consumer, ``json.loads``, COPY, and no more.

No code is checked, no gap looked for, no purge, no position, no change of a row that is there: each event that makes a
row of the view is copied as that row, a page and a transaction at a time; events that change rows are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

import psycopg2
from kafka import TopicPartition

from application.settings import Settings
from consumers.clients import consumer
from consumers.runner import PAGE
from consumers.topics import EVENTS

Event = Mapping[str, Any]
Table = tuple[str, Callable[[Event], tuple[Any, ...]]]


def _kept(event: Event, field: str) -> str:
    """Return what a view keeps of a sealed part."""
    place = {name: event[name] for name in ("stream_id", "event_id", "schema_version")}
    return json.dumps({**event["sealed"][field], **place, "event_type": event["type"], "field": field})


def _words(items: list[str]) -> str:
    return "{" + ",".join(items) + "}"


def _case(event: Event) -> tuple[Any, ...]:
    return (event["stream_id"], event["subject_ids"][0], event["data"]["kind"], "open")


def _consent(event: Event) -> tuple[Any, ...]:
    d = event["data"]
    terms = (
        d["consent_id"],
        event["stream_id"],
        d["consent_purpose"],
        _words(d["recipient_ids"]),
        _words(d["categories"]),
    )
    rest = d["notice_version"], d["language"], d["method"], "asked", d["valid_until"], event["occurred_at"], "f"
    return (*terms, *rest)


ROWS: Mapping[str, Mapping[str, Table]] = {
    "case_page": {
        "SubjectRegistered": (
            "view_case_page_people (subject_id, identity)",
            lambda e: (e["stream_id"], _kept(e, "identity")),
        ),
        "CaseOpened": (
            "view_case_page_cases (case_id, subject_id, kind, state, opened_at, updated_at)",
            lambda e: (*_case(e), e["occurred_at"], e["recorded_at"]),
        ),
        "IntakeSubmitted": (
            "view_case_page_intakes (intake_id, case_id, form, form_version, submitted_at, medical, insurance)",
            lambda e: (
                *(e["data"]["intake_id"], e["stream_id"], e["data"]["form"], e["data"]["form_version"]),
                *(e["occurred_at"], _kept(e, "medical"), _kept(e, "insurance")),
            ),
        ),
        "NoteAdded": (
            "view_case_page_notes (note_id, case_id, at, author, note)",
            lambda e: (e["data"]["note_id"], e["stream_id"], e["occurred_at"], e["actor"]["id"], _kept(e, "note")),
        ),
        "TaskAdded": (
            "view_case_page_tasks (task_id, case_id, added_at, due, assignee, title)",
            lambda e: (
                *(e["data"]["task_id"], e["stream_id"], e["occurred_at"]),
                *(e["data"]["due"], e["data"]["assignee"], _kept(e, "title")),
            ),
        ),
    },
    "worklist": {
        "CaseOpened": (
            "view_worklist_cases (case_id, subject_id, kind, state, opened_at, updated_at, open_tasks)",
            lambda e: (*_case(e), e["occurred_at"], e["recorded_at"], 0),
        ),
        "TaskAdded": (
            "view_worklist_tasks (task_id, case_id, due)",
            lambda e: (e["data"]["task_id"], e["stream_id"], e["data"]["due"]),
        ),
    },
    "people": {
        "SubjectRegistered": (
            "view_people (subject_id, state, language, registered_at, identity)",
            lambda e: (
                *(e["stream_id"], "registered", e["data"]["language"]),
                *(e["occurred_at"], _kept(e, "identity")),
            ),
        ),
    },
    "consents": {
        "ConsentRequested": (
            "view_consents (consent_id, subject_id, purpose, recipient_ids, categories, policy_version, language, "
            "method, state, valid_until, recorded_at, fenced)",
            _consent,
        ),
    },
}
"""View → event type → table with columns, and the values of a row."""


def copy_topic(settings: Settings, view: str, head: int) -> None:
    """Read the topic up to ``head`` records and copy the rows of a view into its (empty) tables."""
    partition = TopicPartition(settings.topic(EVENTS), 0)
    reader = consumer(settings.brokers, auto_offset_reset="earliest")
    reader.assign([partition])
    connection = psycopg2.connect(settings.views_dsn)
    try:
        done = 0
        while done < head:
            page = reader.poll(timeout_ms=500, max_records=PAGE).get(partition, [])
            _copy_page(connection, ROWS[view], page)
            done += len(page)
    finally:
        connection.close()
        reader.close()


def _copy_page(connection: Any, tables: Mapping[str, Table], page: list[Any]) -> None:
    lines: dict[str, list[str]] = {}
    for message in page:
        if made := tables.get(dict(message.headers)["ck-type"].decode()):
            table, values = made
            line = "\t".join(map(str, values(json.loads(message.value)))).replace("\\", "\\\\")
            lines.setdefault(table, []).append(line)
    with connection, connection.cursor() as cursor:
        for table, rows in lines.items():
            cursor.copy_expert(f"COPY {table} FROM STDIN", StringIO("\n".join(rows)), 1 << 20)
