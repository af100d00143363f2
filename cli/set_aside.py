"""The streams that views have set aside, as the commands about dead letters read and change them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg2
from psycopg2.extensions import cursor as Cursor

from domain.errors import NotFound, ViewsUnavailable
from postgres.opening import open_connection
from projections import parking
from projections.parking import ParkedRecord, ParkedStream

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Release:
    """What became of a released stream: ``taken in``, ``does not fit``, or ``waits`` for whoever runs the view."""

    stream: ParkedStream
    became: str
    stopped_at: ParkedRecord | None = None


@contextmanager
def views_cursor(views_dsn: str) -> Iterator[Cursor]:
    """Give a cursor in a transaction of its own. Raises ``ViewsUnavailable`` for the driver's errors."""
    try:
        connection = open_connection(views_dsn, "casekeeper deadletters")
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise ViewsUnavailable(f"the views cannot be used (SQLSTATE {error.pgcode})") from None


def parked(cursor: Cursor, view: str | None = None, stream_id: UUID | None = None) -> list[ParkedStream]:
    """Return parked streams, of one view and one stream where these are given; the oldest first.

    Raises ``NotFound`` when a stream is given that is not parked there.
    """
    found = [s for s in parking.all_parked(cursor) if view in (None, s.view) and stream_id in (None, s.stream_id)]
    if stream_id is not None and not found:
        raise NotFound(f"stream set aside in {view}", stream_id)
    return found


def release(views_dsn: str, streams: list[ParkedStream], wait_seconds: float) -> list[Release]:
    """Ask that streams be taken in after all; return what became of each within so many seconds."""
    with views_cursor(views_dsn) as cursor:
        for stream in streams:
            parking.release(cursor, stream.view, stream.stream_id)
    deadline = time.monotonic() + wait_seconds
    while True:
        with views_cursor(views_dsn) as cursor:
            found = [_became(cursor, stream) for stream in streams]
        if time.monotonic() >= deadline or not any(one.became == "waits" for one in found):
            return found
        time.sleep(_LOOK_SECONDS)


def _became(cursor: Cursor, stream: ParkedStream) -> Release:
    named = stream.view, stream.stream_id
    if any(now.released for now in parked(cursor) if (now.view, now.stream_id) == named):
        return Release(stream, "waits")
    # Looked at afterwards: what is left of a stream that no longer waits was refused, and is not about to be taken in.
    left = parking.records_of(cursor, stream.view, stream.stream_id)
    return Release(stream, "does not fit", left[0]) if left else Release(stream, "taken in")


def user() -> str:
    """Return who runs this command, by the number of the account on this machine: also where it is run by ``sudo``."""
    given = os.environ.get("SUDO_UID", "")
    return f"uid {int(given) if given.isdecimal() else os.getuid()}"
