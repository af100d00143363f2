"""Reads what the independent check compares: with psycopg2, kafka-python and json, and nothing of the service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from independent_check import Message, Row, Seen
from kafka import KafkaConsumer, TopicPartition

_SEALED = "CASE WHEN {0} ? 'erased' THEN 'erased' ELSE {0} ->> 'event_id' END AS {0}"

_QUERIES: dict[str, tuple[str, ...]] = {
    "people": (f"SELECT subject_id, state, language, {_SEALED.format('identity')} FROM view_people",),
    "worklist": (
        "SELECT case_id, subject_id::text AS subject, kind, state, assignee, open_tasks FROM view_worklist_cases",
    ),
    "case_page": (
        f"SELECT subject_id, {_SEALED.format('identity')} FROM view_case_page_people",
        "SELECT case_id, subject_id::text AS subject, kind, state, assignee, closed_reason AS reason "
        "FROM view_case_page_cases",
        f"SELECT intake_id, case_id::text AS case, form, amended_at IS NOT NULL AS amended, "
        f"{_SEALED.format('medical')}, {_SEALED.format('insurance')} FROM view_case_page_intakes",
        f"SELECT note_id, case_id::text AS case, author, {_SEALED.format('note')} FROM view_case_page_notes",
        f"SELECT task_id, case_id::text AS case, done_at IS NOT NULL AS done, {_SEALED.format('title')} "
        "FROM view_case_page_tasks",
    ),
    "consents": ("SELECT consent_id, subject_id::text AS subject, state, fenced FROM view_consents",),
    "disclosures": (
        "SELECT disclosure_id, subject_id::text AS subject, recipient_id::text AS recipient, state "
        "FROM view_disclosures",
        f"SELECT recipient_id, {_SEALED.format('identity')} FROM view_disclosures_recipients",
    ),
    "recipients": (
        f"SELECT recipient_id, kind, {_SEALED.format('identity')} FROM view_recipients",
        "SELECT agreement_id, recipient_id::text AS recipient, "
        'ARRAY(SELECT unnest(purposes) COLLATE "C" ORDER BY 1) AS purposes FROM view_recipients_agreements',
    ),
    "requests": (
        'SELECT request_id, subject_id::text AS subject, "right", state, '
        "to_char(due AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS due FROM view_requests",
    ),
    "search_index": (
        f"SELECT source_id, subject_id::text AS subject, {_SEALED.format('value')}, coalesce(value ? 'erased', false) "
        "AND EXISTS (SELECT FROM view_search_index_tags tag WHERE tag.source_id = source.source_id) "
        "AS erased_and_tagged FROM view_search_index_sources source",
    ),
    "forget": ("SELECT request_id, subject_id::text AS subject, step FROM view_forget_sagas",),
}
"""Each query gives a row's key, then its facts by name. A key may be of a person, who stands in several views."""


@dataclass(frozen=True)
class Place:
    """Where a copy keeps what is compared."""

    events_dsn: str
    views_dsn: str
    kafka: str
    topic_prefix: str


def read(place: Place, journals: Iterable[Path]) -> Seen:
    """Return everything there is to compare. Nothing must be at work on the copy meanwhile."""
    with _cursor(place.events_dsn) as cursor:
        cursor.execute(
            "SELECT position, event_id::text, stream_id::text, version, type, record FROM events ORDER BY position"
        )
        rows = [Row(*row[:5], bytes(row[5])) for row in cursor]
    with _cursor(place.views_dsn) as cursor:
        views = {view: dict(_facts(cursor, queries)) for view, queries in _QUERIES.items()}
        cursor.execute("SELECT name, position FROM view_positions")
        positions = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM parked_records")
        parked = cursor.fetchone()[0]
    return Seen(
        rows=rows,
        topic=[
            Message(message.key, message.value, tuple(message.headers))
            for message in _messages(place, "cases.events.v1")
        ],
        outcomes=[_outcome(message.value) for message in _messages(place, "cases.outcomes.v1")],
        views=views,
        positions=positions,
        set_aside=parked + len(_messages(place, "cases.deadletters.v1")),
        journal=[line for journal in journals for line in load_journal(journal)],
    )


def load_journal(path: Path) -> list[dict[str, Any]]:
    """Return the lines of one client's journal.

    ``{"what", "door", "mark", …}``: ``sent`` before each attempt, then ``answered`` with the ``receipt``, ``refused``,
    ``lost`` when no answer came, ``unreached`` when nobody listened; ``door`` is ``http`` or ``inbox``.
    """
    return [json.loads(line) for line in path.read_text().splitlines()]


def _outcome(signed: bytes) -> dict[str, Any]:
    """Return what a signed outcome says, but for the record that it answers: each publication is another."""
    said = json.loads(base64.urlsafe_b64decode(signed.split(b".")[1] + b"=="))
    return {name: value for name, value in said.items() if name != "message_sha256"}


def _facts(cursor: Any, queries: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for query in queries:
        cursor.execute(query)
        names = [column.name for column in cursor.description[1:]]
        for key, *facts in cursor.fetchall():
            yield str(key), dict(zip(names, facts, strict=True))


def _messages(place: Place, name: str) -> list[Any]:
    """Return every message of a topic, a partition after the other, each in the order of its offsets."""
    topic = f"{place.topic_prefix}{name}"
    consumer = KafkaConsumer(bootstrap_servers=place.kafka.split(","), enable_auto_commit=False)
    found: list[Any] = []
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        for partition, end in consumer.end_offsets(partitions).items():
            while consumer.position(partition) < end:
                for page in consumer.poll(timeout_ms=500).values():
                    found += page
    finally:
        consumer.close()
    return sorted(found, key=lambda message: (message.partition, message.offset))


@contextmanager
def _cursor(dsn: str) -> Iterator[Any]:
    connection = psycopg2.connect(dsn)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
