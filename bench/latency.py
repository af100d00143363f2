"""From commit to view under steady load: a real worker with all its parts, and events appended by the clock.

The load is open: each event has its moment, whatever became of those before it, so a stall is met by all events that
fall into it. An event's time runs from the return of its append to the commit that moves the view to its position.
"""

from __future__ import annotations

import select
import statistics
import time
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from threading import Lock

import psycopg2

from application.settings import Settings
from bench.figures import Figure, Result, Run
from bench.spine import spine
from bench.worker_process import keys, worker
from bench.workload import events
from domain.errors import ConcurrencyConflict
from projections.positions import CHANNEL
from store.append import AppendCommand, NewEvent
from store.log import EventLog

VIEW = "case_page"
RATES = (500, 1_000)
LIMIT_MS = 200
_THREADS = 16
_WARM_SECONDS, _SECONDS = 2, 8
_LAST_SECONDS = 10

P50 = {
    rate: Figure(f"commit to view at {rate:,}/s, p50", "ms", note="one worker, all views but search_index; none")
    for rate in RATES
}
P99 = {
    rate: Figure(f"commit to view at {rate:,}/s, p99", "ms", 1.0, at_most=True, note=f"the goal of {LIMIT_MS} ms")
    for rate in RATES
}
REACHED = {rate: Figure(f"load reached of {rate:,}/s", "events/s", 0.98, note="the load asked for") for rate in RATES}
FIGURES = (*P50.values(), *P99.values(), *REACHED.values())


@dataclass(frozen=True)
class Appended:
    """One event of the load: when its append returned (monotonic seconds) and its position."""

    at: float
    position: int


def measure(run: Run) -> Iterator[Result]:
    """Yield p50 and p99 at each rate, and the rate that the generator reached."""
    with spine(run.folder) as bare, keys(bare, run.folder) as settings, worker(settings, run.folder / "worker.log"):
        load = events(sum(RATES) * (_WARM_SECONDS + _SECONDS))
        for rate in RATES:
            if not any(run.wants(figure[rate]) for figure in (P50, P99, REACHED)):
                continue
            reached, delays = _measured(settings, list(islice(load, rate * (_WARM_SECONDS + _SECONDS))), rate)
            percentiles = statistics.quantiles(delays, n=100)
            yield P50[rate].result(percentiles[49])
            yield P99[rate].result(percentiles[98], LIMIT_MS)
            yield REACHED[rate].result(reached, rate)


def _measured(settings: Settings, load: list[NewEvent], rate: int) -> tuple[float, list[float]]:
    """Return the rate at which appends returned and the delays in ms, without those while everything warms up."""
    seconds = _WARM_SECONDS + _SECONDS + _LAST_SECONDS
    with ProcessPoolExecutor(1, get_context("spawn")) as observer:
        # A process of its own: its clock stops for no thread of the generator. The clock is one for the machine.
        observed = observer.submit(positions_seen, settings.views_dsn, len(load), seconds)
        time.sleep(1.0)
        appended = _append(settings, load, rate)
        moves = observed.result()
    counted = sorted(appended, key=lambda one: one.at)[rate * _WARM_SECONDS :]
    reached = (len(counted) - 1) / (counted[-1].at - counted[0].at)
    return reached, [_delay(moves, one) for one in counted]


def _delay(moves: list[tuple[int, float]], appended: Appended) -> float:
    """Return the ms until the view had reached an event; what it had not when watching ended counts as endless."""
    number = bisect_left(moves, (appended.position, float("-inf")))
    return max(0.0, moves[number][1] - appended.at) * 1000 if number < len(moves) else float("inf")


def _append(settings: Settings, load: list[NewEvent], rate: int) -> list[Appended]:
    """Append each event at its moment."""
    due = iter(enumerate(load))
    turn = Lock()
    started = time.monotonic()

    def work(_: int) -> list[Appended]:
        done: list[Appended] = []
        while True:
            with turn:
                number, event = next(due, (0, None))
            if event is None:
                return done
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            position = _append_one(log, event)
            done.append(Appended(time.monotonic(), position))

    with EventLog(settings.events_dsn) as log, ThreadPoolExecutor(_THREADS) as threads:
        return [one for several in threads.map(work, range(_THREADS)) for one in several]


def _append_one(log: EventLog, event: NewEvent) -> int:
    command = AppendCommand((event,))
    while True:
        # The event before it in its stream may still be under way in another thread.
        with suppress(ConcurrencyConflict):
            return log.append(command).positions[0]
        time.sleep(0.001)


def positions_seen(dsn: str, count: int, seconds: float) -> list[tuple[int, float]]:
    """Return each position that the view came to and when, until it has moved on by ``count`` or time is up."""
    moves: list[tuple[int, float]] = []
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
            cursor.execute("SELECT position FROM view_positions WHERE name = %s", (VIEW,))
            row = cursor.fetchone()
        last = (row[0] if row else 0) + count
        end = time.monotonic() + seconds
        while time.monotonic() < end and (not moves or moves[-1][0] < last):
            select.select([connection], [], [], 0.5)
            connection.poll()
            at = time.monotonic()
            for notified in connection.notifies:
                name, _, position = notified.payload.partition(" ")
                if name == VIEW:
                    moves.append((int(position), at))
            connection.notifies.clear()
    return moves
