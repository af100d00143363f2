"""The parts of a worker: each a thread that is run again when it fails, and stays halted where that cannot help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

import psycopg2
import structlog

from application import metrics
from domain.errors import RetriableError, TerminalError
from postgres.opening import open_connection
from projections import health

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_WELL_AFTER_SECONDS = 30.0
_HEARTBEAT_SECONDS = 3.0
HUNG_SECONDS = 120.0
"""A part that says nothing for this long hangs; only ending the process frees what it holds."""

log = structlog.get_logger()
Report = Callable[[str, str], None]


@dataclass
class _Said:
    state: str = "waiting"
    code: str = ""
    at: float = 0.0


class Part(threading.Thread):
    """One part. ``make`` is called with ``report`` and returns what to run until the stop event is set.

    ``RetriableError``, and any error nobody foresaw, run it again after a pause; ``TerminalError`` halts it.
    """

    def __init__(self, name: str, make: Callable[[Report], Callable[[Event], None]], stop: Event) -> None:
        super().__init__(name=name, daemon=True)
        self.said = _Said(at=time.monotonic())
        self._make = make
        self._stopping = stop

    def report(self, state: str, code: str = "") -> None:
        """Note how the part is."""
        self.said = _Said(state, code, time.monotonic())

    def hangs(self) -> bool:
        """Return whether the part has said nothing for too long, though it is not halted."""
        return self.is_alive() and self.said.state != "halted" and time.monotonic() - self.said.at > HUNG_SECONDS

    def run(self) -> None:
        """Run until told to stop."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._make(self.report)(self._stopping)
                pause = _FIRST_PAUSE
                continue
            except TerminalError as error:
                self.report("halted", type(error).__name__)
                log.critical("part halted", part=self.name, error=error, **_positions(error))
                self._stopping.wait()
                return
            except RetriableError as error:
                self.report("retrying", type(error).__name__)
                metrics.PART_FAILURES.inc(metrics.PART.known(self.name), metrics.error_class(error))
                log.warning("part failed", part=self.name, error=error, retry_in=pause)
            except Exception as error:
                self.report("retrying", type(error).__name__)
                metrics.PART_FAILURES.inc(metrics.PART.known(self.name), metrics.OTHER)
                log.error("part failed unexpectedly", part=self.name, error=error, retry_in=pause)
            self._stopping.wait(pause)
            longer = min(_LONGEST_PAUSE, pause * 2)
            pause = _FIRST_PAUSE if time.monotonic() - started > _WELL_AFTER_SECONDS else longer


class Heartbeat(threading.Thread):
    """Writes every few seconds, and when something changes, how the parts are; ``hung`` is set when one hangs."""

    def __init__(self, views_dsn: str, parts: Sequence[Part], stop: Event) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.hung = Event()
        self._prepared = False
        self._dsn = views_dsn
        self._parts = parts
        self._stopping = stop

    def run(self) -> None:
        """Write until told to stop, then once more that the parts have stopped."""
        written: dict[str, tuple[str, str]] = {}
        due = 0.0
        while not self._stopping.wait(0.2):
            now = {part.name: (part.said.state, part.said.code) for part in self._parts}
            if now != written or time.monotonic() >= due:
                written = now if self._write(now) else {}
                due = time.monotonic() + _HEARTBEAT_SECONDS
            for part in self._parts:
                if part.hangs():
                    log.critical("part hangs", part=part.name)
                    self.hung.set()
        # One that waited for its turn must not speak for the one that leads.
        self._write({name: ("stopped", "") for name, (state, _) in written.items() if state in ("running", "retrying")})

    def _write(self, states: dict[str, tuple[str, str]]) -> bool:
        try:
            connection = open_connection(self._dsn, "casekeeper health")
            try:
                with connection, connection.cursor() as cursor:
                    if not self._prepared:
                        health.prepare(cursor)
                    for part, (state, code) in states.items():
                        health.report(cursor, part, state, code)
            finally:
                connection.close()
        except psycopg2.Error:
            return False
        self._prepared = True
        return True


def _positions(error: TerminalError) -> dict[str, int]:
    names = ("expected", "found", "position", "first", "last")
    return {name: getattr(error, name) for name in names if isinstance(getattr(error, name, None), int)}
