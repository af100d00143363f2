"""How fast a view catches up from the topic, on one core, beside a plain COPY of the same topic into its tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from threading import Event

import psycopg2
from psycopg2.extensions import cursor as Cursor

from application.settings import Settings
from bench.copying_peer import copy_topic
from bench.figures import Figure, Result, Run
from bench.own_process import in_own_process
from bench.spine import MAC, fill_topic, spine
from consumers import topics
from consumers.dead_letters import DeadLetters
from consumers.runner import ProjectionRunner, Sources
from consumers.worker import feed_of
from projections.base import Projection
from projections.catalogue import VIEWS
from projections.positions import prepare

EVENTS = 40_000
GOAL = 20_000
_NAMES = ("case_page", "worklist", "people", "consents")

RATES = {
    name: Figure(f"catch-up, {name}", "events/s", 1.0, note=f"the goal of {GOAL:,} a second, on one core")
    for name in _NAMES
}
BESIDE_COPY = {
    name: Figure(f"catch-up beside COPY, {name}", "events/s", 0.5, note="same consumer, json.loads and COPY, no checks")
    for name in _NAMES
}
FIGURES = (*RATES.values(), *BESIDE_COPY.values())


def measure(run: Run) -> Iterator[Result]:
    """Yield for each view its speed, and its speed beside COPY; both out of the same alternating rounds."""
    wanted = [name for name in _NAMES if run.wants(RATES[name]) or run.wants(BESIDE_COPY[name])]
    with spine(run.folder) as settings:
        fill_topic(settings, EVENTS)
        for name in wanted:
            pairs = [(_rate(catch_up, settings, name), _rate(copy_topic, settings, name)) for _ in range(run.rounds)]
            ours, peer = (statistics.median(rates) for rates in zip(*pairs, strict=True))
            yield RATES[name].result(ours, GOAL)
            yield BESIDE_COPY[name].result(ours, peer)


def catch_up(settings: Settings, name: str, head: int) -> None:
    """Run a view's runner, as the worker does, until the view has reached ``head``."""
    stop = Event()

    class Runner(ProjectionRunner):
        def move(self, cursor: Cursor, from_: int, to: int) -> None:
            super().move(cursor, from_, to)
            if to >= head:
                stop.set()

    sources = Sources(
        settings.views_dsn,
        feed_of(settings, MAC).reader,
        DeadLetters(settings.brokers, settings.topic(topics.DEADLETTERS)),
    )
    Runner(projection(name), sources, lambda *_: None).run(stop)


def projection(name: str) -> Projection:
    """Return a view's projection, one of those that need nothing."""
    return next(view for view in VIEWS if view.name == name)()


def empty_view(settings: Settings, name: str) -> None:
    """Make a view's tables anew."""
    connection = psycopg2.connect(settings.views_dsn)
    try:
        prepare(connection, projection(name), rebuild=True)
    finally:
        connection.close()


def _rate(way: Callable[[Settings, str, int], None], settings: Settings, name: str) -> float:
    empty_view(settings, name)
    return EVENTS / float(in_own_process(_seconds, way, settings, name, one_core=True))


def _seconds(way: Callable[[Settings, str, int], None], settings: Settings, name: str) -> float:
    started = time.perf_counter()
    way(settings, name, EVENTS)
    return time.perf_counter() - started
