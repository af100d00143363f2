"""Runs one projection: takes the topic in, in order, and moves rows and position in the same transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from threading import Event

import psycopg2
import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from application import metrics
from consumers.dead_letters import DeadLetters
from consumers.leadership import Leadership
from consumers.published import Published
from consumers.released import Released
from consumers.set_aside import SetAside
from consumers.topic_feed import FeedReader
from consumers.travel_log import TravelLog
from consumers.unfit import errors_of_records
from consumers.unfit_limits import UnfitLimits
from domain.errors import CasekeeperError, RecordUnfit, ViewsUnavailable
from postgres.opening import open_connection
from projections import positions, view_health
from projections.base import PURGE, Projection

PAGE = 2_000
_READ_SECONDS = 0.3
_ELECTION_SECONDS = 1.0
_CHORES_SECONDS = 1.0
_TIMEOUTS = {"statement_timeout": 30_000, "idle_in_transaction_session_timeout": 20_000}
"""In milliseconds. A process that is stopped inside a transaction locks its view's rows no longer than that."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Sources:
    """What a runner reads from and writes to; ``reader`` makes a reader of the events topic."""

    views_dsn: str
    reader: Callable[[], FeedReader]
    dead_letters: DeadLetters
    lock_prefix: str = ""


class ProjectionRunner:
    """Runs a projection in one thread, while it leads. ``report`` is told how it is: a state and an error's class."""

    def __init__(self, projection: Projection, sources: Sources, report: Callable[[str, str], None]) -> None:
        self._projection = projection
        self._sources = sources
        self._report = report
        self._aside = SetAside(projection.name, sources.dead_letters)
        self._released = Released(projection, self._aside)
        self._limits = UnfitLimits(projection.name)
        self._chores_due = 0.0
        self._tick_error = ""
        self._foreign = 0
        self._travel = TravelLog("taken in", view=projection.name)

    def run(self, stop: Event) -> None:
        """Wait to lead, then take records in until told to stop or somebody else leads.

        Raises ``RetriableError``: then run again. ``LogGap``; ``RecordUnfit`` for a record that a projection which
        parks nothing cannot take, or that names no stream; ``TooManyUnfit``: then it is halted before that record.
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
                self._travel.close()
                reader.close()
                self._sources.dead_letters.close()

    def _lead(self, connection: Connection, reader: FeedReader, leadership: Leadership, stop: Event) -> None:
        position = self._prepare(connection)
        while not stop.is_set() and leadership.held():
            page = reader.read(position, limit=PAGE, timeout=_READ_SECONDS)
            self._count_foreign(reader)
            if page:
                self._take(connection, position, page)
                self._travel.moved(position + 1, page[-1].position)
                position = page[-1].position
            elif self._set_back(connection, position):
                return
            self._travel.look()
            self._tick(connection)
            self._chores(connection, position, reader)
            self._report("retrying" if self._tick_error else "running", self._tick_error)

    def _count_foreign(self, reader: FeedReader) -> None:
        new, self._foreign = reader.foreign - self._foreign, reader.foreign
        if new:
            metrics.FOREIGN_RECORDS.inc(metrics.VIEW.known(self._projection.name), by=new)
            log.warning("foreign records", view=self._projection.name, count=new)

    def _set_back(self, connection: Connection, position: int) -> bool:
        """Return, now and then, whether somebody dropped the view for it to be built anew; then lead it from 0."""
        if time.monotonic() < self._chores_due:
            return False
        with connection, connection.cursor() as cursor:
            return positions.positions(cursor).get(self._projection.name) != position

    def _prepare(self, connection: Connection) -> int:
        position = positions.prepare(connection, self._projection)
        with connection, connection.cursor() as cursor:
            self._limits = self._aside.prepare(cursor, position)
        self._foreign = 0
        return position

    def _take(self, connection: Connection, position: int, page: Sequence[Published]) -> None:
        """Take a page in. Other types are not even read; a stream that is set aside parts the page."""
        handled = [published for published in page if published.type in self._projection.handles]
        while handled:
            run = list(takewhile(lambda published: not self._aside.holds(published), handled))
            handled, one = handled[len(run) or 1 :], handled[0]
            if run:
                to = run[-1].position if handled else page[-1].position
                self._take_run(connection, position, run, to)
                position = to
            else:
                self._take_one(connection, position, one)
                position = one.position
        if position < page[-1].position:
            with connection, connection.cursor() as cursor:
                self.move(cursor, position, page[-1].position)

    def _take_run(self, connection: Connection, position: int, run: Sequence[Published], to: int) -> None:
        """Take records in at once; one by one where one of them does not fit."""
        with suppress(RecordUnfit):
            with connection, connection.cursor() as cursor:
                self._apply(cursor, run)
                self.move(cursor, position, to)
            self._limits.fit(len(run))
            return
        for published in run:
            self._take_one(connection, position, published)
            position = published.position
            self._report("running", "")
        if position < to:
            with connection, connection.cursor() as cursor:
                self.move(cursor, position, to)

    def _take_one(self, connection: Connection, position: int, published: Published) -> None:
        """Take one record in, or set it aside. To move first holds the view's row: nobody discards meanwhile."""
        try:
            with connection, connection.cursor() as cursor:
                self.move(cursor, position, published.position)
                fate = self._aside.fate(cursor, published)
                if fate == "taken" or published.type == PURGE:
                    self._apply(cursor, [published])
                elif fate == "parked":
                    self._aside.park(cursor, published)
        except RecordUnfit as error:
            if not self._projection.parks:
                raise
            unfit = error
        else:
            self._limits.fit(int(fate == "taken"))
            return
        self._limits.unfit(published.position)
        with connection, connection.cursor() as cursor:
            self.move(cursor, position, published.position)
            self._aside.park(cursor, published, unfit)

    def _apply(self, cursor: Cursor, handled: Sequence[Published]) -> None:
        with errors_of_records(self._projection.name, handled[0].position, handled[-1].position):
            self._projection.apply_batch(cursor, [published.record() for published in handled])

    def move(self, cursor: Cursor, from_: int, to: int) -> None:
        """Move the view's position, in the transaction that changed its rows."""
        positions.advance(cursor, self._projection.name, from_, to, version=self._projection.version)

    def _tick(self, connection: Connection) -> None:
        """Let the projection do what is due. What fails is tried again later and holds up no reading."""
        if self._tick_error and time.monotonic() < self._chores_due:
            return
        self._tick_error = ""
        try:
            with connection, connection.cursor() as cursor:
                self._projection.tick(cursor)
        except CasekeeperError as error:
            self._tick_error = type(error).__name__
            log.warning("tick failed", view=self._projection.name, error=error)

    def _chores(self, connection: Connection, position: int, reader: FeedReader) -> None:
        """Do, now and then, what can wait: take in what was released, and say that there is nothing more to read."""
        if time.monotonic() < self._chores_due:
            return
        self._chores_due = time.monotonic() + _CHORES_SECONDS
        if self._projection.parks:
            self._released.take(connection, position)
        if reader.at_end:
            with connection, connection.cursor() as cursor:
                view_health.note_at_end(cursor, self._projection.name)


@contextmanager
def _connected(dsn: str, name: str) -> Iterator[Connection]:
    """Give a connection of the runner's own; the driver's errors leave as ``ViewsUnavailable``, without their text."""
    try:
        connection = open_connection(dsn, f"casekeeper view {name}", **_TIMEOUTS)
    except psycopg2.Error:
        raise ViewsUnavailable("the views cannot be reached") from None
    try:
        yield connection
    except psycopg2.Error as error:
        raise ViewsUnavailable(f"view {name} cannot be written (SQLSTATE {error.pgcode})") from None
    finally:
        with suppress(psycopg2.Error):
            connection.close()
