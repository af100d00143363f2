"""Records that a view could not take in, with what followed them in their stream, kept in order until released.

A stream that is discarded leaves one row behind, who discarded it and why: the view then goes on without that stream
until it is built anew. Whoever writes here holds the view's row in ``view_positions``, so that no two of them cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

FOLLOWS = "follows a parked record"
"""The reason of a record that is set aside only because one before it in its stream is."""

TABLES = """
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
ALTER TABLE parked_records ADD COLUMN IF NOT EXISTS place text NOT NULL DEFAULT 'unknown';
CREATE INDEX IF NOT EXISTS parked_records_stream ON parked_records (view, stream_id);
CREATE TABLE IF NOT EXISTS discarded_streams (
    view text NOT NULL,
    stream_id uuid NOT NULL,
    first_position bigint NOT NULL,
    records bigint NOT NULL,
    reason text NOT NULL,
    place text NOT NULL,
    discarded_at timestamptz NOT NULL DEFAULT now(),
    discarded_by text NOT NULL,
    ticket text NOT NULL,
    PRIMARY KEY (view, stream_id)
)
"""


@dataclass(frozen=True)
class ParkedRecord:
    """One record set aside: ``reason`` is an error's class or SQLSTATE, ``place`` where in the code it was raised."""

    position: int
    stream_id: UUID
    value: bytes
    reason: str
    place: str = "unknown"


@dataclass(frozen=True)
class ParkedStream:
    """A stream that a view has set aside: from which position on, how many records, why, where in the code, since when.

    ``released`` while somebody has asked for it to be taken in after all, and nobody has done so yet.
    """

    view: str
    stream_id: UUID
    first_position: int
    records: int
    reason: str
    parked_at: datetime
    place: str
    released: bool


@dataclass(frozen=True)
class DiscardedStream:
    """A stream that a view goes on without. ``records`` were set aside at the time; later ones are not counted."""

    view: str
    stream_id: UUID
    first_position: int
    records: int
    reason: str
    place: str
    discarded_at: datetime
    discarded_by: str
    ticket: str


def prepare(cursor: Cursor) -> None:
    """Make the tables if they are missing."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('casekeeper:parked_records', 0))")
    if not _there(cursor):
        cursor.execute(TABLES)


def park(cursor: Cursor, view: str, record: ParkedRecord) -> None:
    """Set a record aside."""
    cursor.execute(
        "INSERT INTO parked_records (view, position, stream_id, value, reason, place) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (view, position) DO UPDATE "
        "SET reason = excluded.reason, place = excluded.place, released_at = NULL",
        (view, record.position, str(record.stream_id), record.value, record.reason, record.place),
    )


def set_aside(cursor: Cursor, view: str) -> set[UUID]:
    """Return every stream that a view does not take in: parked or discarded."""
    cursor.execute(
        "SELECT stream_id::text FROM parked_records WHERE view = %s "
        "UNION SELECT stream_id::text FROM discarded_streams WHERE view = %s",
        (view, view),
    )
    return {UUID(row[0]) for row in cursor.fetchall()}


def fate(cursor: Cursor, view: str, stream_id: UUID) -> str:
    """Return what becomes of a stream's next record: ``discarded``, ``parked``, or ``taken`` in."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM discarded_streams WHERE view = %(view)s AND stream_id = %(stream)s), "
        "EXISTS (SELECT FROM parked_records WHERE view = %(view)s AND stream_id = %(stream)s)",
        {"view": view, "stream": str(stream_id)},
    )
    discarded, parked = cursor.fetchone() or (False, False)
    return "discarded" if discarded else "parked" if parked else "taken"


def causes_since(cursor: Cursor, view: str, position: int) -> list[int]:
    """Return the positions after one of the records that did not fit themselves, ascending."""
    cursor.execute(
        "SELECT position FROM parked_records WHERE view = %s AND position > %s AND reason <> %s ORDER BY position",
        (view, position, FOLLOWS),
    )
    return [row[0] for row in cursor.fetchall()]


def forget(cursor: Cursor, view: str) -> None:
    """Drop what a view had set aside or discarded, because it is built anew."""
    cursor.execute("DELETE FROM parked_records WHERE view = %s", (view,))
    cursor.execute("DELETE FROM discarded_streams WHERE view = %s", (view,))


def release(cursor: Cursor, view: str, stream_id: UUID) -> int:
    """Ask that a stream be taken in after all, by whoever runs the view; return how many records that is."""
    cursor.execute(
        "UPDATE parked_records SET released_at = now() WHERE view = %s AND stream_id = %s", (view, str(stream_id))
    )
    return cursor.rowcount


def holds_erasure(cursor: Cursor, view: str, stream_id: UUID, purge: str) -> bool:
    """Return whether one of a stream's parked records erases, ``purge`` being the type of those."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM parked_records WHERE view = %s AND stream_id = %s"
        " AND position(%s::bytea in value) > 0)",
        (view, str(stream_id), f'"type":"{purge}"'.encode()),
    )
    return bool((cursor.fetchone() or (False,))[0])


def discard(cursor: Cursor, view: str, stream_id: UUID, by: str, ticket: str) -> int:
    """Let a view go on without a parked stream until it is built anew; return how many records were set aside."""
    cursor.execute("SELECT FROM view_positions WHERE name = %s FOR UPDATE", (view,))
    cursor.execute(
        "WITH gone AS ("
        "  DELETE FROM parked_records WHERE view = %(view)s AND stream_id = %(stream)s "
        "  RETURNING position, reason, place"
        ") INSERT INTO discarded_streams "
        "(view, stream_id, first_position, records, reason, place, discarded_by, ticket) "
        "SELECT %(view)s, %(stream)s, min(position), count(*), (array_agg(reason ORDER BY position))[1], "
        "       (array_agg(place ORDER BY position))[1], %(by)s, %(ticket)s FROM gone HAVING count(*) > 0 "
        "RETURNING records",
        {"view": view, "stream": str(stream_id), "by": by, "ticket": ticket},
    )
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def next_released(cursor: Cursor, view: str) -> ParkedRecord | None:
    """Return the first record of the released stream whose turn it is, or ``None`` when none is released."""
    cursor.execute(
        "SELECT position, stream_id::text, value, reason, place FROM parked_records WHERE view = %s AND stream_id = ("
        "  SELECT stream_id FROM parked_records WHERE view = %s AND released_at IS NOT NULL ORDER BY position LIMIT 1"
        ") ORDER BY position LIMIT 1",
        (view, view),
    )
    row = cursor.fetchone()
    return _record(row) if row else None


def refuse(cursor: Cursor, view: str, record: ParkedRecord) -> None:
    """Keep a released stream set aside, from a record on that still does not fit."""
    park(cursor, view, record)
    cursor.execute(
        "UPDATE parked_records SET released_at = NULL WHERE view = %s AND stream_id = %s",
        (view, str(record.stream_id)),
    )


def unpark(cursor: Cursor, view: str, position: int) -> None:
    """Drop a record that was taken in."""
    cursor.execute("DELETE FROM parked_records WHERE view = %s AND position = %s", (view, position))


def records_of(cursor: Cursor, view: str, stream_id: UUID) -> Sequence[ParkedRecord]:
    """Return the records of a stream that a view has set aside, in order; none where there are no tables yet."""
    if not _there(cursor):
        return ()
    cursor.execute(
        "SELECT position, stream_id::text, value, reason, place FROM parked_records "
        "WHERE view = %s AND stream_id = %s ORDER BY position",
        (view, str(stream_id)),
    )
    return [_record(row) for row in cursor.fetchall()]


def all_parked(cursor: Cursor) -> Sequence[ParkedStream]:
    """Return every stream that is set aside, oldest first."""
    if not _there(cursor):
        return ()
    cursor.execute(
        "SELECT view, stream_id::text, min(position), count(*), (array_agg(reason ORDER BY position))[1], "
        "min(parked_at), (array_agg(place ORDER BY position))[1], bool_or(released_at IS NOT NULL) "
        "FROM parked_records GROUP BY view, stream_id ORDER BY min(position), view"
    )
    return [ParkedStream(row[0], UUID(row[1]), *row[2:]) for row in cursor.fetchall()]


def all_discarded(cursor: Cursor) -> Sequence[DiscardedStream]:
    """Return every stream that a view goes on without, oldest first."""
    if not _there(cursor):
        return ()
    cursor.execute(
        "SELECT view, stream_id::text, first_position, records, reason, place, discarded_at, discarded_by, ticket "
        "FROM discarded_streams ORDER BY first_position, view"
    )
    return [DiscardedStream(row[0], UUID(row[1]), *row[2:]) for row in cursor.fetchall()]


def _there(cursor: Cursor) -> bool:
    cursor.execute("SELECT to_regclass('discarded_streams') IS NOT NULL")
    row = cursor.fetchone()
    return bool(row and row[0])


def _record(row: tuple[int, str, bytes, str, str]) -> ParkedRecord:
    return ParkedRecord(row[0], UUID(row[1]), bytes(row[2]), row[3], row[4])
