"""The ``eventsourcing`` library's recorders on the event store.

The application recorder is the log itself: same table, same append path. Versions, positions and errors are the
log's; an error is also the library's error of the same meaning, because its own code looks for those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg2
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from psycopg2.extensions import cursor as Cursor

from domain.errors import ConcurrencyConflict, StoreUnavailable
from store.append import AppendCommand, NewEvent
from store.batch import APPEND, arguments, results
from store.connection import Connections, unavailable
from store.listen import Listener
from store.log import EventLog


class Conflict(ConcurrencyConflict, IntegrityError):
    """A stream has moved: ours and the library's error in one."""


class Refused(IntegrityError):
    """The events, or the tracking position, cannot follow what is there. Nothing was recorded."""


class Unavailable(StoreUnavailable, OperationalError):
    """The event store cannot be reached: ours and the library's error in one."""


@contextmanager
def library_errors() -> Iterator[None]:
    """Raise our errors, and the driver's, as the library's of the same meaning."""
    try:
        yield
    except ConcurrencyConflict as error:
        raise Conflict(error.stream_id) from None
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    except psycopg2.IntegrityError:
        raise Refused("recorded before") from None
    except psycopg2.Error as error:
        raise Unavailable(str(unavailable(error))) from None


class PostgresAggregateRecorder(AggregateRecorder):
    """Keeps records of one purpose, such as snapshots, by stream and version. They are no part of the log."""

    def __init__(self, connections: Connections, purpose: str) -> None:
        self._connections = connections
        self._purpose = purpose

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> None:
        """Record all or nothing. Raises ``Refused`` when a stream has that version already."""
        sql = "INSERT INTO aggregate_records (purpose, stream_id, version, topic, state) VALUES (%s, %s, %s, %s, %s)"
        with library_errors(), self._connections.transaction() as cursor:
            for e in stored_events:
                cursor.execute(sql, (self._purpose, e.originator_id, e.originator_version, e.topic, e.state))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return records of a stream with ``gt`` < version <= ``lte``."""
        sql = "SELECT stream_id, version, topic, state FROM aggregate_records WHERE purpose = %s AND stream_id = %s"
        return _select_stream(self._connections, sql, [self._purpose, originator_id], gt, lte, desc, limit)


class PostgresApplicationRecorder(ApplicationRecorder):
    """The log as the library sees it: notification ids are positions."""

    def __init__(self, log: EventLog, connections: Connections, dsn: str) -> None:
        self.log = log
        self.dsn = dsn
        self._connections = connections

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Append and return positions.

        Keyword arguments: ``event_ids`` (one per event, else random), ``reads``, ``uses``, ``fences``,
        ``idempotency`` as in ``AppendCommand``. Raises ``Conflict``, ``Refused``, ``Unavailable``, and
        ``Fenced``, ``AlreadyDone``, ``IdempotencyKeyReused``, ``EventTooLarge`` as they are.
        """
        with library_errors():
            return list(self.log.append(command_of(stored_events, **kwargs)).positions)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return events of a stream with ``gt`` < version <= ``lte``."""
        sql = "SELECT stream_id, version, type, record FROM events WHERE stream_id = %s"
        return _select_stream(self._connections, sql, [originator_id], gt, lte, desc, limit)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return events from position ``start`` (or after it) to ``stop``, of some topics or all."""
        first = (start or 0) + (0 if inclusive_of_start else 1)
        sql = "SELECT stream_id, version, type, record, position FROM events WHERE position >= %s"
        values: list[Any] = [first]
        if stop is not None:
            sql += " AND position <= %s"
            values.append(stop)
        if topics:
            sql += " AND type = ANY (%s)"
            values.append(list(topics))
        rows = _rows(self._connections, f"{sql} ORDER BY position LIMIT %s", [*values, limit])
        return [Notification(r[0], r[1], r[2], bytes(r[3]), r[4]) for r in rows]

    def max_notification_id(self) -> int | None:
        """Return the head's position, ``None`` when nothing was appended yet."""
        with library_errors():
            return self.log.head() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> PostgresSubscription:
        """Return an endless iterator over events after position ``gt``."""
        return PostgresSubscription(self, gt, topics)


class PostgresSubscription(ListenNotifySubscription[PostgresApplicationRecorder]):
    """Follows the log: the library's pull thread, woken by LISTEN."""

    def __init__(self, recorder: PostgresApplicationRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._listener = Thread(target=self._listen, name="subscription", daemon=True)
        self._listener.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._listener.join()

    def _listen(self) -> None:
        listener = Listener(self._recorder.dsn)
        try:
            while not self._has_been_stopped:
                if listener.wait(0.1):
                    self._has_been_notified.set()
        except StoreUnavailable as error:
            self._thread_error = self._thread_error or Unavailable(str(error))
            self.stop()
        finally:
            listener.close()


class PostgresTrackingRecorder(TrackingRecorder):
    """How far each followed application was processed: one row each, which only moves forward."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move forward. Raises ``Refused`` when that position was passed before."""
        with library_errors(), self._connections.transaction() as cursor:
            track(cursor, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the last position processed, ``None`` when none was."""
        rows = _rows(self._connections, "SELECT position FROM tracking WHERE application_name = %s", [application_name])
        return rows[0][0] if rows else None


class PostgresProcessRecorder(PostgresTrackingRecorder, PostgresApplicationRecorder, ProcessRecorder):
    """The log together with tracking: what was processed and what followed from it are recorded in one transaction."""

    def __init__(self, log: EventLog, connections: Connections, dsn: str) -> None:
        PostgresApplicationRecorder.__init__(self, log, connections, dsn)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Append, with ``tracking`` if given. Raises as the two recorders do.

        With tracking it is a transaction of its own, by the same function in the database; after ``Unavailable``
        ``max_tracking_id`` says whether it was committed.
        """
        tracking: Tracking | None = kwargs.pop("tracking", None)
        if tracking is None:
            return PostgresApplicationRecorder.insert_events(self, stored_events, **kwargs)
        with library_errors():
            command = command_of(stored_events, **kwargs)
            with self._connections.transaction() as cursor:
                track(cursor, tracking)
                cursor.execute(APPEND, arguments(0, [command]))
                [result] = results([command], cursor.fetchall())
                if isinstance(result, Exception):
                    raise result
                return list(result.positions) if result else []


def command_of(
    stored_events: Sequence[StoredEvent],
    *,
    event_ids: Sequence[UUID] | None = None,
    tracking: None = None,
    **kwargs: Any,
) -> AppendCommand:
    """Return the append command for the library's events. Raises ``Refused`` when they do not follow each other.

    ``tracking`` is there because the library's applications pass it, as ``None``, also when nothing is tracked.
    """
    chosen = event_ids or [uuid4() for _ in stored_events]
    try:
        events = tuple(
            NewEvent(event_id, UUID(str(e.originator_id)), e.originator_version, e.topic, e.state)
            for event_id, e in zip(chosen, stored_events, strict=True)
        )
        return AppendCommand(events, **kwargs)
    except ValueError as error:
        raise Refused(str(error)) from None


def track(cursor: Cursor, tracking: Tracking) -> None:
    """Move a tracking row forward in the caller's transaction. Raises ``Refused`` when it would not move."""
    sql = (
        "INSERT INTO tracking AS t (application_name, position) VALUES (%s, %s) ON CONFLICT (application_name) "
        "DO UPDATE SET position = excluded.position WHERE t.position < excluded.position"
    )
    cursor.execute(sql, (tracking.application_name, tracking.notification_id))
    if cursor.rowcount == 0:
        raise Refused("tracking position was passed before")


def _select_stream(
    connections: Connections,
    sql: str,
    values: list[Any],
    gt: int | None,
    lte: int | None,
    desc: bool,
    limit: int | None,
) -> list[StoredEvent]:
    if gt is not None:
        sql += " AND version > %s"
        values.append(gt)
    if lte is not None:
        sql += " AND version <= %s"
        values.append(lte)
    sql += f" ORDER BY version {'DESC' if desc else 'ASC'}"
    if limit is not None:
        sql += " LIMIT %s"
        values.append(limit)
    return [StoredEvent(r[0], r[1], r[2], bytes(r[3])) for r in _rows(connections, sql, values)]


def _rows(connections: Connections, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with library_errors():
        return connections.rows(sql, values)
