"""Runs one projection: takes the topic in, in order, and moves rows and position in the same transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event

import psycopg2
import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from consumers.dead_letters import DeadLetter, DeadLetters
from consumers.leadership import Leadership
from consumers.published import Published
from consumers.topic_reader import TopicReader
from domain.errors import CasekeeperError, RecordUnfit, ViewsUnavailable
from domain.record import Record
from projections import parking, positions
from projections.base import PURGE, Projection

PAGE = 500
_READ_SECONDS = 0.3
_ELECTION_SECONDS = 1.0
_CHORES_SECONDS = 1.0
_STATEMENT_TIMEOUT_MS = 30_000

log = structlog.get_logger()


@dataclass(frozen=True)
class Sources:
    """What a runner reads from and writes to; ``reader`` makes a reader of the events topic."""

    views_dsn: str
    reader: Callable[[], TopicReader]
    dead_letters: DeadLetters
    lock_prefix: str = ""


class ProjectionRunner:
    """Runs a projection in one thread, while it leads. ``report`` is told how it is: a state and an error's class."""

    def __init__(self, projection: Projection, sources: Sources, report: Callable[[str, str], None]) -> None:
        self._projection = projection
        self._sources = sources
        self._report = report
        self._chores_due = 0.0
        self._tick_error = ""

    def run(self, stop: Event) -> None:
        """Wait to lead, then take records in until told to stop or somebody else leads.

        Raises ``RetriableError``: then run again. ``LogGap``, and ``RecordUnfit`` for a record that is none or that a
        projection which parks nothing cannot take: then it is halted, and stays where it is.
        """
        name = f"{self._sources.lock_prefix}view:{self._projection.name}"
        with Leadership(self._sources.views_dsn, name, ViewsUnavailable) as leadership:
            while not leadership.acquire():
                self._report("waiting", "")
                if stop.wait(_ELECTION_SECONDS):
                    return
            reader = self._sources.reader()
            try:
                with _connected(self._sources.views_dsn, self._projection.name) as connection:
                    self._lead(connection, reader, leadership, stop)
            finally:
                reader.close()
                self._sources.dead_letters.close()

    def _lead(self, connection: Connection, reader: TopicReader, leadership: Leadership, stop: Event) -> None:
        position = self._prepare(connection)
        while not stop.is_set() and leadership.held():
            page = reader.read(position, limit=PAGE, timeout=_READ_SECONDS)
            if page:
                self._take(connection, position, page)
                position = page[-1].position
            elif self._set_back(connection, position):
                return
            self._tick(connection)
            self._report("retrying" if self._tick_error else "running", self._tick_error)

    def _set_back(self, connection: Connection, position: int) -> bool:
        """Return, now and then, whether somebody dropped the view for it to be built anew; then lead it from 0."""
        if time.monotonic() < self._chores_due:
            return False
        with connection, connection.cursor() as cursor:
            return positions.positions(cursor).get(self._projection.name) != position

    def _prepare(self, connection: Connection) -> int:
        position = positions.prepare(connection, self._projection)
        with connection, connection.cursor() as cursor:
            parking.prepare(cursor)
            if position == 0:
                parking.forget(cursor, self._projection.name)
        return position

    def _take(self, connection: Connection, position: int, page: Sequence[Published]) -> None:
        """Take a page in at once; record by record when one of them does not fit. Other types are not even read."""
        handled = [published for published in page if published.type in self._projection.handles]
        records = [self._parse(published) for published in handled]
        try:
            with connection, connection.cursor() as cursor:
                if self._parked(cursor, records):
                    raise RecordUnfit(self._projection.name, position + 1, page[-1].position, "parked")
                self._projection.apply_batch(cursor, records)
                self.move(cursor, position, page[-1].position)
        except RecordUnfit:
            if not self._projection.parks:
                raise
            for record, published in zip(records, handled, strict=True):
                self._take_one(connection, position, record, published)
                position = record.position
            if position < page[-1].position:
                with connection, connection.cursor() as cursor:
                    self.move(cursor, position, page[-1].position)

    def _parse(self, published: Published) -> Record:
        try:
            return published.record()
        except (ValueError, KeyError, TypeError) as error:
            raise RecordUnfit(
                self._projection.name, published.position, published.position, type(error).__name__
            ) from None

    def _take_one(self, connection: Connection, position: int, record: Record, published: Published) -> None:
        reason, unfit = "follows a parked record", None
        try:
            with connection, connection.cursor() as cursor:
                if not self._parked(cursor, [record]) or record.type == PURGE:
                    self._projection.apply(cursor, record)
                    self.move(cursor, position, record.position)
                    return
        except RecordUnfit as error:
            reason, unfit = error.reason, error
        self._dead_letter(published, unfit)
        with connection, connection.cursor() as cursor:
            parking.park(cursor, self._projection.name, record, published.value, reason)
            self.move(cursor, position, record.position)
        log.error("record parked", view=self._projection.name, position=record.position, stream_id=record.stream_id)

    def move(self, cursor: Cursor, from_: int, to: int) -> None:
        """Move the view's position, in the transaction that changed its rows."""
        positions.advance(cursor, self._projection.name, from_, to, version=self._projection.version)

    def _parked(self, cursor: Cursor, records: Sequence[Record]) -> bool:
        if not self._projection.parks:
            return False
        return bool(parking.parked(cursor, self._projection.name, {record.stream_id for record in records}))

    def _dead_letter(self, published: Published, unfit: RecordUnfit | None) -> None:
        error = unfit or RecordUnfit(self._projection.name, published.position, published.position, "parked")
        source = f"{self._projection.name}/{published.position}"
        self._sources.dead_letters.put(DeadLetter.of(published.key, published.value, source, error))

    def _take_released(self, connection: Connection) -> None:
        """Take in a parked stream that was released, in order and whole; park it again where it still does not fit."""
        with connection, connection.cursor() as cursor:
            released = parking.next_released(cursor, self._projection.name)
        if not released:
            return
        records = [Record.parse(position, value) for position, value in released]
        try:
            with connection, connection.cursor() as cursor:
                self._projection.apply_batch(cursor, records)
                for record in records:
                    parking.unpark(cursor, self._projection.name, record.position)
        except RecordUnfit as error:
            with connection, connection.cursor() as cursor:
                for record, (_, value) in zip(records, released, strict=True):
                    parking.park(cursor, self._projection.name, record, value, error.reason)

    def _tick(self, connection: Connection) -> None:
        """Let the projection do what is due. What fails is tried again later and holds up no reading."""
        chores = time.monotonic() >= self._chores_due
        if self._tick_error and not chores:
            return
        self._tick_error = ""
        try:
            with connection, connection.cursor() as cursor:
                self._projection.tick(cursor)
        except CasekeeperError as error:
            self._tick_error = type(error).__name__
            log.warning("tick failed", view=self._projection.name, error=error)
        if chores:
            self._chores_due = time.monotonic() + _CHORES_SECONDS
            if self._projection.parks:
                self._take_released(connection)


@contextmanager
def _connected(dsn: str, name: str) -> Iterator[Connection]:
    """Give a connection of the runner's own; the driver's errors leave as ``ViewsUnavailable``, without their text."""
    try:
        given = psycopg2.extensions.parse_dsn(dsn)
        given.setdefault("connect_timeout", "5")
        given["options"] = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} {given.get('options', '')}"
        connection = psycopg2.connect(**{**given, "application_name": f"casekeeper view {name}"})
    except psycopg2.Error:
        raise ViewsUnavailable("the views cannot be reached") from None
    try:
        yield connection
    except psycopg2.Error as error:
        raise ViewsUnavailable(f"view {name} cannot be written (SQLSTATE {error.pgcode})") from None
    finally:
        with suppress(psycopg2.Error):
            connection.close()
