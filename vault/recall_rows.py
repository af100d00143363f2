"""SQL of recalls: who keeps keys in memory, which keys are recalled, and who has obeyed.

Every function takes an open cursor; driver errors pass through.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from vault.destruction_request import DestructionRequest

CHANNEL = "casekeeper_recall"
_LOCK = 0x636B7265


@dataclass(frozen=True)
class Answers:
    """How many holders have obeyed a recall, may yet (their lease runs), and have not while their lease ran."""

    obeyed: int
    expected: int
    silent: int


def register(cursor: Cursor, holder_id: UUID) -> int:
    """Enter a process that keeps no key yet; return the last recall there was."""
    cursor.execute(
        """
        INSERT INTO key_holder (holder_id, recalled)
        SELECT %s, coalesce(max(number), 0) FROM recalled_scope RETURNING recalled
        """,
        (holder_id,),
    )
    return int(cursor.fetchone()[0])


def beat(cursor: Cursor, holder_id: UUID, recalled: int) -> int | None:
    """Say that a process lives and what it has obeyed; return the last recall, ``None`` when it is not entered."""
    cursor.execute(
        """
        UPDATE key_holder SET seen_at = clock_timestamp(), recalled = %s WHERE holder_id = %s AND left_at IS NULL
        RETURNING (SELECT coalesce(max(number), 0) FROM recalled_scope)
        """,
        (recalled, holder_id),
    )
    row = cursor.fetchone()
    return int(row[0]) if row else None


def leave(cursor: Cursor, holder_id: UUID) -> None:
    """Record that a process keeps no key any more."""
    cursor.execute("UPDATE key_holder SET left_at = clock_timestamp() WHERE holder_id = %s", (holder_id,))


def recalled_people(cursor: Cursor, after: int, up_to: int) -> set[UUID]:
    """Return whose keys were recalled after one recall, up to another."""
    cursor.execute(
        """
        SELECT DISTINCT s.subject_id FROM recalled_scope r JOIN key_scope s USING (scope_id)
        WHERE r.number > %s AND r.number <= %s
        """,
        (after, up_to),
    )
    return {subject_id for (subject_id,) in cursor.fetchall()}


def insert_recall(cursor: Cursor, requests: Sequence[DestructionRequest]) -> int:
    """Recall every key that the requests are for, and return the number that holders must have obeyed.

    Holders are woken at the commit. What was recalled before is left alone. One recall at a time, so that numbers
    follow the order of the commits.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    number = _latest(cursor) + 1
    rows = [
        (scope_id, number, request.certificate_id, request.at)
        for request in requests
        for scope_id in sorted(request.scope_ids | _scopes_of(cursor, request.subject_ids))
    ]
    execute_values(
        cursor,
        """
        INSERT INTO recalled_scope (scope_id, number, certificate_id, fenced_at)
        SELECT v.scope_id, v.number, v.certificate_id, v.fenced_at
        FROM (VALUES %s) AS v (scope_id, number, certificate_id, fenced_at) JOIN key_scope USING (scope_id)
        ON CONFLICT DO NOTHING
        """,
        rows,
        template="(%s::uuid, %s::bigint, %s::uuid, %s::timestamptz)",
        page_size=len(rows) or 1,
    )
    cursor.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return _latest(cursor)


def answers(cursor: Cursor, number: int, lease: float, longest: float) -> Answers:
    """Return what became of a recall so far; ``longest`` is how long a key is kept at most, all in seconds."""
    cursor.execute(
        """
        SELECT count(*) FILTER (WHERE recalled >= %(number)s),
               count(*) FILTER (WHERE recalled < %(number)s AND age <= %(lease)s),
               count(*) FILTER (WHERE recalled < %(number)s AND age > %(lease)s)
        FROM (SELECT recalled, extract(epoch FROM clock_timestamp() - seen_at) AS age
              FROM key_holder WHERE left_at IS NULL) AS holder
        WHERE age <= %(longest)s
        """,
        {"number": number, "lease": lease, "longest": longest},
    )
    return Answers(*cursor.fetchone())


def remove_gone(cursor: Cursor, longest: float) -> None:
    """Remove processes that left, or were not heard for so long that every key they kept has expired."""
    cursor.execute(
        """
        DELETE FROM key_holder
        WHERE left_at IS NOT NULL OR seen_at < clock_timestamp() - make_interval(secs => %s)
        """,
        (longest,),
    )


def _latest(cursor: Cursor) -> int:
    cursor.execute("SELECT coalesce(max(number), 0) FROM recalled_scope")
    return int(cursor.fetchone()[0])


def _scopes_of(cursor: Cursor, subject_ids: Collection[UUID]) -> set[UUID]:
    cursor.execute("SELECT scope_id FROM key_scope WHERE subject_id = ANY (%s)", (list(subject_ids),))
    return {scope_id for (scope_id,) in cursor.fetchall()}
