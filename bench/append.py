"""Appending one event at a time by many threads, every check on, beside what a user would take instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

from bench.database import events_database
from bench.event_stores import Append, event_sourcery, library, ours, plain_rows
from bench.figures import Figure, Group, Result, Run
from bench.rates import threads_rate

SECONDS = 1.5
_LIBRARY = "eventsourcing's own PostgreSQL recorder, psycopg 3, defaults"
_BEST = "the same with POSTGRES_ENABLE_DB_FUNCTIONS=y"
_SOURCERY = "python-event-sourcery on SQLAlchemy and psycopg2"
_PLAIN = "psycopg2, a plain row each in autocommit, nothing checked"


def _figure(writers: int, beside: str, goal: float | None, note: str, group: Group = "main") -> Figure:
    threads = "1 writer" if writers == 1 else f"{writers} writers"
    return Figure(f"append, {threads}, beside {beside}", "events/s", goal, group=group, note=note)


LIBRARY = {
    writers: _figure(writers, "eventsourcing", goal, _LIBRARY) for writers, goal in ((1, 1.2), (16, 6), (64, 10))
}
BEST = {
    1: _figure(1, "eventsourcing's best mode", None, _BEST, "full"),
    16: _figure(16, "eventsourcing's best mode", 3, _BEST),
}
SOURCERY = {writers: _figure(writers, "event-sourcery", None, _SOURCERY, "full") for writers in (1, 16)}
PLAIN = {writers: _figure(writers, "plain rows", None, _PLAIN) for writers in (1, 16)}
REMEMBERED = Figure(
    "append with an idempotency key, 16 writers", "events/s", note="without a key: what keeping the outcome costs"
)
_BESIDE: tuple[tuple[Callable[[str], AbstractContextManager[Append]], dict[int, Figure]], ...] = (
    (library, LIBRARY),
    (partial(library, functions=True), BEST),
    (plain_rows, PLAIN),
    (event_sourcery, SOURCERY),
)
FIGURES = (*LIBRARY.values(), *BEST.values(), *PLAIN.values(), *SOURCERY.values(), REMEMBERED)


def measure(run: Run) -> Iterator[Result]:
    """Yield appends per second; every writer appends one event to a stream of its own at a time."""
    with events_database(run.folder) as dsn, ours(dsn) as append:
        for peer, figures in _BESIDE:
            wanted = {writers: figure for writers, figure in figures.items() if run.wants(figure)}
            if wanted:
                yield from _beside(append, peer(dsn), wanted, run.rounds)
        if run.wants(REMEMBERED):
            with ours(dsn, remembered=True) as remembered:
                yield _alternate(REMEMBERED, remembered, append, 16, run.rounds)


def _beside(
    append: Append, peer: AbstractContextManager[Append], figures: dict[int, Figure], rounds: int
) -> Iterator[Result]:
    try:
        with peer as other:
            for writers, figure in figures.items():
                yield _alternate(figure, append, other, writers, rounds)
    except ImportError as missing:
        yield from (figure.skipped(f"{missing.name} is not installed: extra bench") for figure in figures.values())


def _alternate(figure: Figure, append: Append, other: Append, writers: int, rounds: int) -> Result:
    return figure.alternate(
        lambda: threads_rate(append, writers, SECONDS), lambda: threads_rate(other, writers, SECONDS), rounds
    )
