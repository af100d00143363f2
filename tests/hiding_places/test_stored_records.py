"""What the stores keep beside the events themselves: idempotency records, and what a caller sends around a body."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import structlog
from api_world import World

from application.examples import BODIES
from application.logging import configure


def rows(dsn: str) -> str:
    """Return every row of every table of a database as text, byte strings as the characters they are."""
    found = []
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT LIKE 'pg\\_%' "
                       "AND schemaname <> 'information_schema'")  # fmt: skip
        for schema, table in cursor.fetchall():
            cursor.execute(f'SELECT * FROM "{schema}"."{table}"')
            for row in cursor.fetchall():
                found += [bytes(v).decode("latin-1") if isinstance(v, memoryview) else str(v) for v in row]
    return "\n".join(found)


def everywhere(world: World) -> str:
    return "\n".join(
        rows(dsn) for dsn in (world.settings.events_dsn, world.settings.views_dsn, world.settings.keys_dsn)
    )


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Give what our logging writes at its most talkative."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    configure("debug", stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers = before
    root.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    structlog.reset_defaults()


def with_marker(marker: str) -> dict[str, object]:
    body = dict(BODIES["register_subject"])
    return {**body, "identity": {**body["identity"], "given_name": marker, "email": f"{marker}@example.org"}}


def test_a_repeated_calls_record_keeps_neither_body_nor_key(world: World, marker: str, logged: io.StringIO) -> None:
    """The key is the caller's own text: somebody may well use an e-mail address for it."""
    intake = world.people.intake
    first = intake.post("/v1/subjects", with_marker(marker), key=f"{marker}@example.org")
    again = intake.post("/v1/subjects", with_marker(marker), key=f"{marker}@example.org")
    other = intake.post("/v1/subjects", with_marker(marker[::-1]), key=f"{marker}@example.org")

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert first.json["id"] == again.json["id"], "the record was found again"
    assert marker not in everywhere(world)
    assert marker[::-1] not in everywhere(world)
    assert '"event": "request"' in logged.getvalue()
    assert marker not in logged.getvalue()


def test_what_is_sent_around_a_body_is_kept_nowhere(world: World, marker: str, logged: io.StringIO) -> None:
    headers = {
        "X-Request-Id": marker,
        "traceparent": f"00-{marker}",
        "tracestate": f"vendor={marker}",
        "baggage": f"person={marker}",
        "User-Agent": marker,
        "Referer": f"https://example.org/{marker}",
        "Cookie": f"casekeeper_session={marker}; person={marker}",
        "X-Forwarded-For": marker,
    }
    done = world.people.intake.post("/v1/subjects", BODIES["register_subject"], headers=headers)
    missed = world.people.manager.get(f"/v1/{marker}?name={marker}", **headers)

    assert (done.status_code, missed.status_code) == (201, 404)
    for answer in (done, missed):
        assert marker not in answer.text + str(answer.headers)
    assert marker not in everywhere(world)
    assert marker not in logged.getvalue()


def test_the_scan_finds_what_is_planted(world: World, marker: str) -> None:
    with closing(psycopg2.connect(world.settings.events_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE planted (word text, raw bytea)")
        cursor.execute("INSERT INTO planted VALUES ('', %s)", (marker.encode(),))
        connection.commit()
        try:
            assert marker in everywhere(world)
        finally:
            cursor.execute("DROP TABLE planted")
            connection.commit()
