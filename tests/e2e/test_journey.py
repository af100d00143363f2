"""The main journey over HTTP and over the inbox, and what it leaves behind: on Kafka, in PostgreSQL, on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psycopg2
import pytest

from tests.callers import INTAKE_SERVICE, MANAGER, OFFICER, REGULATOR
from tests.e2e.copy_of_service import Copy
from tests.e2e.inbox import over_inbox
from tests.e2e.journey import Journey, find_erased, over_http
from tests.e2e.reading_topics import TOPICS, messages, published
from tests.outcome_tokens import parts

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.fixture(scope="session", params=["http", "inbox"])
def journey(copy: Copy, request: pytest.FixtureRequest) -> Iterator[Journey]:
    """The journey, already run through one of the two doors."""
    if request.param == "http":
        run = Journey(copy, over_http(copy))
        run.run()
        yield run
    else:
        with over_inbox(copy) as publish:
            run = Journey(copy, publish)
            run.run()
            yield run


def test_where_a_value_stood_there_is_a_tombstone(copy: Copy, journey: Journey) -> None:
    for who in (MANAGER, OFFICER, INTAKE_SERVICE):
        for path in (f"/v1/subjects/{journey.story.subject}", f"/v1/cases/{journey.story.case}"):
            answer = copy.call(who, "GET", path)

            assert answer.status == 200, answer
            assert {e["certificate_id"] for e in find_erased(answer.body)} == {journey.story.certificate}
            assert journey.markers.run not in json.dumps(answer.body)


def test_nothing_more_is_recorded_about_the_erased(copy: Copy, journey: Journey) -> None:
    body = {"subject_id": journey.story.subject, "kind": "care_coordination"}

    refused = copy.call(INTAKE_SERVICE, "POST", "/v1/cases", body)

    assert refused.status in (409, 410)
    assert refused.body["type"] == "urn:casekeeper:problem:subject-erased"


def test_the_regulator_replays_the_history_with_tombstones(copy: Copy, journey: Journey) -> None:
    answer = copy.call(REGULATOR, "POST", "/v1/audit/replays", {"subject_id": journey.story.subject, "as_of": None})

    assert answer.status == 200, answer
    types = [event["type"] for event in answer.body["history"]]
    assert [t for t in types if t.startswith("Erasure")] == [
        "ErasurePreviewed",
        "ErasureApproved",
        "ErasureFenced",
        "ErasureDrained",
        "ErasureKeysDestroyed",
        "ErasureCertified",
    ]
    assert {e["certificate_id"] for e in find_erased(answer.body["history"])} == {journey.story.certificate}
    position = str(answer.body["as_of"]["position"])
    printed = copy.run("audit", "replay", "--subject", journey.story.subject, "--as-of", position, "--json")
    again = json.loads(printed.stdout)
    assert (again["history"], again["state"]) == (answer.body["history"], answer.body["state"])


def test_ten_lines_of_kafka_python_find_every_event_in_order(copy: Copy, journey: Journey) -> None:
    records = published(copy)

    positions = [int(headers["ck-position"]) for headers, _ in records]
    assert positions == list(range(1, len(records) + 1))
    ids = [record["event_id"] for _, record in records]
    found = [ids.index(event_id) for event_id in journey.story.event_ids]
    assert found == sorted(found)


def test_every_published_record_conforms_to_its_schema(copy: Copy, journey: Journey) -> None:
    for headers, record in published(copy):
        schema = json.loads((SCHEMAS / f"{record['type']}.v{record['schema_version']}.json").read_text())
        jsonschema.validate(record, schema)
        assert headers["ck-type"].decode() == record["type"]


def _told(topic: str, message: Any) -> bytes:
    """Return what a record says: value and headers, and what is in a signed one."""
    signed = repr(parts(message.value)).encode() if topic == TOPICS[2] else b""
    return bytes(message.value) + repr(message.headers).encode() + signed


def test_no_marker_is_left_anywhere(copy: Copy, journey: Journey) -> None:
    """Canary scan: every sensitive field carried a marker; no stored byte may hold one."""
    marker = f"mk{journey.markers.run}"
    assert len(journey.markers.made) > 15

    for topic in TOPICS:
        assert [m for m in messages(copy, topic) if marker.encode() in _told(topic, m)] == []
    assert list(_rows_with(copy, marker)) == []
    assert list(_files_with(copy.home, marker.encode())) == []
    assert marker not in copy.home.with_suffix(".log").read_text()


def test_the_scan_finds_what_is_planted(copy: Copy) -> None:
    """The control of the canary scan: it sees a marker in a row and in a file."""
    marker = "mkplantedmarker"
    with psycopg2.connect(_environment(copy)["CASEKEEPER_VIEWS_DSN"]) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS planted (value text)")
        cursor.execute("INSERT INTO planted VALUES (%s)", (marker,))
    try:
        assert list(_rows_with(copy, marker)) == ["planted"]
        assert any("pg-main" in str(path) for path in _files_with(copy.home, marker.encode()))
    finally:
        with psycopg2.connect(_environment(copy)["CASEKEEPER_VIEWS_DSN"]) as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE planted")


def _environment(copy: Copy) -> dict[str, str]:
    return json.loads((copy.home / "runtime.json").read_text())["environment"]


def _rows_with(copy: Copy, marker: str) -> Iterator[str]:
    for variable in ("CASEKEEPER_EVENTS_DSN", "CASEKEEPER_VIEWS_DSN", "CASEKEEPER_KEYS_DSN"):
        with psycopg2.connect(_environment(copy)[variable]) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT format('%I.%I', schemaname, tablename), tablename FROM pg_tables "
                           "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")  # fmt: skip
            for qualified, name in cursor.fetchall():
                # bytea is scanned as text through convert: records are JSON.
                cursor.execute(f"SELECT count(*) FROM {qualified} t WHERE t::text LIKE %s OR t::text LIKE %s",
                               (f"%{marker}%", f"%{marker.encode().hex()}%"))  # fmt: skip
                if cursor.fetchone()[0]:
                    yield name


def _files_with(folder: Path, marker: bytes) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and marker in path.read_bytes():
            yield path
