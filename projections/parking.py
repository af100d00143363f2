"""Records that a view could not take in, with what followed them in their stream, kept in order until released."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record

TABLE = """
CREATE TABLE IF NOT EXISTS parked_records (
    view text NOT NULL,
    position bigint NOT NULL,
    stream_id uuid NOT NULL,
    value bytea NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    PRIMARY KEY (view, position)
);
CREATE INDEX IF NOT EXISTS parked_records_stream ON parked_records (view, stream_id)
"""


@dataclass(frozen=True)
class ParkedStream:
    """A stream that a view has set aside: since when, from which position on, how many records, and why."""

    view: str
    stream_id: UUID
    first_position: int
    records: int
    reason: str
    parked_at: datetime


def prepare(cursor: Cursor) -> None:
    """Make the table if it is missing."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('casekeeper:parked_records', 0))")
    cursor.execute(TABLE)


def park(cursor: Cursor, view: str, record: Record, value: bytes, reason: str) -> None:
    """Set a record aside. ``reason`` is an error's class or SQLSTATE, never text."""
    cursor.execute(
        "INSERT INTO parked_records (view, position, stream_id, value, reason) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (view, position) DO UPDATE SET reason = excluded.reason, released_at = NULL",
        (view, record.position, str(record.stream_id), value, reason),
    )


def parked(cursor: Cursor, view: str, streams: Iterable[UUID]) -> set[UUID]:
    """Return which of these streams a view has set aside."""
    cursor.execute(
        "SELECT DISTINCT stream_id::text FROM parked_records WHERE view = %s AND stream_id = ANY (%s::uuid[])",
        (view, [str(stream) for stream in streams]),
    )
    return {UUID(row[0]) for row in cursor.fetchall()}


def forget(cursor: Cursor, view: str) -> None:
    """Drop what a view had set aside, because it is built anew."""
    cursor.execute("DELETE FROM parked_records WHERE view = %s", (view,))


def release(cursor: Cursor, view: str, stream_id: UUID) -> int:
    """Ask that a stream be taken in after all, by whoever runs the view; return how many records that is."""
    cursor.execute(
        "UPDATE parked_records SET released_at = now() WHERE view = %s AND stream_id = %s", (view, str(stream_id))
    )
    return cursor.rowcount


def next_released(cursor: Cursor, view: str) -> Sequence[tuple[int, bytes]]:
    """Return position and value of the records of one released stream, in order; empty when none is released."""
    cursor.execute(
        "SELECT position, value FROM parked_records WHERE view = %s AND stream_id = ("
        "  SELECT stream_id FROM parked_records WHERE view = %s AND released_at IS NOT NULL ORDER BY position LIMIT 1"
        ") ORDER BY position",
        (view, view),
    )
    return [(position, bytes(value)) for position, value in cursor.fetchall()]


def unpark(cursor: Cursor, view: str, position: int) -> None:
    """Drop a record that was taken in."""
    cursor.execute("DELETE FROM parked_records WHERE view = %s AND position = %s", (view, position))


def all_parked(cursor: Cursor) -> Sequence[ParkedStream]:
    """Return every stream that is set aside, oldest first."""
    cursor.execute("SELECT to_regclass('parked_records') IS NOT NULL")
    row = cursor.fetchone()
    if row is None or not row[0]:
        return ()
    cursor.execute(
        "SELECT view, stream_id::text, min(position), count(*), (array_agg(reason ORDER BY position))[1], "
        "min(parked_at) FROM parked_records GROUP BY view, stream_id ORDER BY min(position)"
    )
    return [ParkedStream(row[0], UUID(row[1]), *row[2:]) for row in cursor.fetchall()]
