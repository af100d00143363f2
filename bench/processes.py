"""Appending from 16 processes: nothing combines them, so each command is a transaction of its own on both sides."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

from bench.database import events_database
from bench.event_stores import Append, checking_client, ours
from bench.figures import Figure, Result, Run

PROCESSES = 16
SECONDS = 3.0
FIGURE = Figure(
    "append, 16 processes, beside the same checks in psycopg2",
    "events/s",
    1.0,
    note="psycopg2, the same checks on the same tables, one transaction per command, from as many processes",
)
FIGURES = (FIGURE,)
Way = Callable[[str], AbstractContextManager[Append]]


def measure(run: Run) -> Iterator[Result]:
    """Yield appends per second of all processes together."""
    with events_database(run.folder) as dsn:
        yield FIGURE.alternate(lambda: _rate(ours, dsn), lambda: _rate(checking_client, dsn), run.rounds)


def _rate(way: Way, dsn: str) -> float:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    start, counts = context.Barrier(PROCESSES), context.SimpleQueue()
    processes = [context.Process(target=_write, args=(way, dsn, start, counts)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    rates = [counts.get() for _ in processes]
    for process in processes:
        process.join()
    return float(sum(rates))


def _write(way: Way, dsn: str, start: Barrier, counts: SimpleQueue[float]) -> None:
    with way(dsn) as append:
        append()
        start.wait()
        done, started = 0, time.monotonic()
        while time.monotonic() < started + SECONDS:
            append()
            done += 1
        counts.put(done / (time.monotonic() - started))
