"""The ``requests`` view: what people asked for about their data, how far each request is, and when it is due.

States: ``received``, ``verified``, ``refused``, ``previewed``, ``approved``, ``withheld``, ``fenced``,
``drained``, ``destroyed``, ``certified``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.base import PURGE
from projections.paging import Page, check_limit, page_of, start_of
from projections.read_model import Handlers, ReadModel
from projections.rows import rows
from projections.writes import Writes, insert, update

_TABLES = """
CREATE TABLE view_requests (
    request_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    "right" text NOT NULL,
    state text NOT NULL,
    received_at timestamptz NOT NULL,
    due timestamptz NOT NULL,
    channel text NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON view_requests (received_at DESC, request_id DESC);
CREATE INDEX ON view_requests (state, received_at DESC, request_id DESC);
CREATE INDEX ON view_requests ("right", state, received_at DESC, request_id DESC);
"""

_SET_STATE = update("view_requests", "request_id", "state")
_SET_DUE = update("view_requests", "request_id", "due")


def _received(record: Record, writes: Writes) -> None:
    row = {
        "request_id": record.data["request_id"],
        "subject_id": record.stream_id,
        "right": record.data["right"],
        "state": "received",
        "received_at": record.occurred_at,
        "due": record.data["due"],
        "channel": record.data["channel"],
    }
    writes.add(insert("view_requests"), row["request_id"], row)


def _verified(record: Record, writes: Writes) -> None:
    """A failed check leaves the request where it was: it can be repeated."""
    if record.data["outcome"] == "verified":
        _moves_to("verified")(record, writes)


def _extended(record: Record, writes: Writes) -> None:
    request_id = record.data["request_id"]
    writes.add(_SET_DUE, request_id, {"request_id": request_id, "due": record.data["due"]})


def _moves_to(state: str) -> Callable[[Record, Writes], None]:
    def handle(record: Record, writes: Writes) -> None:
        request_id = record.data["request_id"]
        writes.add(_SET_STATE, request_id, {"request_id": request_id, "state": state})

    return handle


class Requests(ReadModel):
    """People's requests by id."""

    name = "requests"
    version = 2
    tables = _TABLES
    handlers: ClassVar[Handlers] = {
        "RightsRequestReceived": _received,
        "RequesterVerified": _verified,
        "RightsRequestRefused": _moves_to("refused"),
        "RightsRequestExtended": _extended,
        "ErasurePreviewed": _moves_to("previewed"),
        "ErasureApproved": _moves_to("approved"),
        "ErasureWithheld": _moves_to("withheld"),
        "ErasureResumed": _moves_to("approved"),
        "ErasureFenced": _moves_to("fenced"),
        "ErasureDrained": _moves_to("drained"),
        PURGE: _moves_to("destroyed"),
        "ErasureCertified": _moves_to("certified"),
    }


_PAGE = """
SELECT request_id AS id, subject_id, "right", state, received_at, due, channel FROM view_requests
{where} ORDER BY received_at DESC, request_id DESC LIMIT %s
"""


def requests(
    cursor: Cursor, *, state: str | None = None, right: str | None = None, limit: int = 50, start: str | None = None
) -> Page:
    """Return a page of requests, newest first; ``start`` is the ``next`` of the page before.

    Items: ``{"id", "subject_id", "right", "state", "received_at", "due", "channel"}``. Raises ``InvalidInput`` for a
    ``limit`` outside 1 to 100 or a ``start`` that is not ours.
    """
    given = {'"right" = %s': right, "state = %s": state}
    wanted = {condition: value for condition, value in given.items() if value is not None}
    conditions: list[str] = list(wanted)
    values: list[Any] = list(wanted.values())
    after = start_of(start)
    if after is not None:
        conditions.append("(received_at, request_id) < (%s, %s::uuid)")
        values += [after[0], str(after[1])]
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    cursor.execute(_PAGE.format(where=where), (*values, check_limit(limit) + 1))
    return page_of(rows(cursor), limit, "received_at")


_BY_DUE = """
SELECT count(*) FILTER (WHERE due <= %(now)s),
       count(*) FILTER (WHERE due > %(now)s AND due <= %(now)s + interval '3 days'),
       count(*) FILTER (WHERE due > %(now)s + interval '3 days')
FROM view_requests WHERE state NOT IN ('refused', 'certified')
"""


def open_by_due(cursor: Cursor, now: datetime) -> dict[str, int]:
    """Return how many requests are open, neither refused nor certified: ``overdue``, ``within_3_days``, ``later``."""
    cursor.execute(_BY_DUE, {"now": now})
    return dict(zip(("overdue", "within_3_days", "later"), cursor.fetchone() or (0, 0, 0), strict=True))


def subject_of(cursor: Cursor, request_id: UUID) -> UUID | None:
    """Return the person who made a request, or ``None`` when there is no such request."""
    cursor.execute("SELECT subject_id::text FROM view_requests WHERE request_id = %s", (str(request_id),))
    row = cursor.fetchone()
    return UUID(row[0]) if row else None
