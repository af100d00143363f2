"""A projection that counts: a row per event taken in, so that one taken in twice or not at all shows."""

from __future__ import annotations

import threading
from typing import ClassVar

import psycopg2
from log_copy import LogCopy, running
from psycopg2.extensions import cursor as Cursor

from consumers.dead_letters import DeadLetters
from consumers.runner import ProjectionRunner, Sources
from consumers.topic_feed import TopicFeed
from consumers.topics import DEADLETTERS
from domain.errors import RecordUnfit
from domain.record import Record
from projections.base import Projection


class Tally(Projection):
    """Takes everything in, except records that say they are ``unfit`` while ``strict``."""

    name = "tally"
    version = 1
    tables = "CREATE TABLE view_tally (row_id bigserial PRIMARY KEY, position bigint NOT NULL, stream_id uuid NOT NULL)"
    handles: ClassVar[frozenset[str]] = frozenset({"NoticeServed"})
    strict = True

    def apply(self, cursor: Cursor, record: Record) -> None:
        if self.strict and record.data.get("unfit"):
            raise RecordUnfit(self.name, record.position, record.position, "KeyError")
        cursor.execute(
            "INSERT INTO view_tally (position, stream_id) VALUES (%s, %s)", (record.position, str(record.stream_id))
        )


class Halting(Tally):
    """The same, which sets nothing aside."""

    parks = False


def sources(copy: LogCopy) -> Sources:
    letters = DeadLetters(copy.settings.kafka, copy.settings.topic(DEADLETTERS))
    return Sources(copy.settings.views_dsn, TopicFeed(copy.reader).reader, letters, copy.settings.topic_prefix)


def tallying(copy: LogCopy, projection: Projection | None = None, kind: type[ProjectionRunner] = ProjectionRunner):
    """Run the projection as the worker does."""
    return running("tally", lambda report: kind(projection or Tally(), sources(copy), report).run)


def tally(copy: LogCopy, what: str = "position", order: str = "row_id") -> list:
    """Return what was taken in, in the order in which it was; empty before there is a table."""
    connection = psycopg2.connect(copy.settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('view_tally')")
            if cursor.fetchone() == (None,):
                return []
            cursor.execute(f"SELECT {what} FROM view_tally ORDER BY {order}")
            return [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()


def position(copy: LogCopy) -> int:
    connection = psycopg2.connect(copy.settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT position FROM view_positions WHERE name = 'tally'")
            return cursor.fetchone()[0]
    finally:
        connection.close()


def run_once(copy: LogCopy, kind: type[ProjectionRunner], projection: Projection | None = None) -> None:
    kind(projection or Tally(), sources(copy), lambda *_: None).run(threading.Event())
