"""The parts of a worker: run again after a failure, halted where that cannot help, and what they say of themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import psycopg2
import pytest
from log_copy import running

from application.settings import Settings
from consumers.parts import HUNG_SECONDS, Heartbeat, Part, Report
from domain.errors import KafkaUnavailable, LogDiverged, LogGap
from projections import health
from tests.waiting import until


def failing(*errors: Exception) -> tuple[Callable[[Report], Callable[[threading.Event], None]], list[float]]:
    """Return a part that fails with these errors, one run after the other, and then works; and when it was run."""
    runs: list[float] = []

    def make(report: Report) -> Callable[[threading.Event], None]:
        def run(stop: threading.Event) -> None:
            runs.append(time.monotonic())
            if len(runs) <= len(errors):
                raise errors[len(runs) - 1]
            report("running")
            stop.wait()

        return run

    return make, runs


def states(settings: Settings) -> dict[str, tuple[str, str]]:
    connection = psycopg2.connect(settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            return {part.part: (part.state, part.detail_code) for part in health.parts(cursor)}
    finally:
        connection.close()


@pytest.mark.parametrize("error", [KafkaUnavailable("Kafka is away"), KeyError("a fault of ours")])
def test_what_may_pass_is_run_again_with_growing_pauses(error: Exception) -> None:
    make, runs = failing(error, error, error)
    with running("part", make) as part:
        until(lambda: part.said.state == "running")

    pauses = [later - earlier for earlier, later in pairwise(runs)]
    assert len(pauses) == 3
    assert pauses[0] >= 0.2
    assert pauses[1] >= 0.4
    assert pauses[2] >= 0.8


@pytest.mark.parametrize("error", [LogGap(7, 9), LogDiverged(7)])
def test_what_cannot_pass_halts_the_part(error: Exception) -> None:
    make, runs = failing(error)
    with running("part", make) as part:
        until(lambda: part.said.state == "halted")

    assert len(runs) == 1
    assert part.said.code == type(error).__name__


def test_states_are_written_as_they_change_and_when_the_worker_ends(settings: Settings) -> None:
    stop = threading.Event()
    make, _ = failing(KafkaUnavailable("away"), KafkaUnavailable("away"), KafkaUnavailable("away"))
    good = Part("good", make, stop)
    bad = Part("bad", failing(LogGap(7, 9))[0], stop)
    waits = Part("waits", lambda report: lambda stop: stop.wait(), stop)
    heartbeat = Heartbeat(settings.views_dsn, [good, bad, waits], stop)
    for thread in (good, bad, waits, heartbeat):
        thread.start()
    until(lambda: states(settings).get("good") == ("retrying", "KafkaUnavailable"))
    until(lambda: states(settings)["good"] == ("running", ""))
    during = states(settings)
    stop.set()
    for thread in (good, bad, waits, heartbeat):
        thread.join(10)

    assert (during["bad"], during["waits"]) == (("halted", "LogGap"), ("waiting", ""))
    assert states(settings) == {"good": ("stopped", ""), "bad": ("halted", "LogGap"), "waits": ("waiting", "")}


def test_a_part_that_says_nothing_any_more_is_noticed(settings: Settings) -> None:
    stop = threading.Event()
    part = Part("part", failing()[0], stop)
    heartbeat = Heartbeat(settings.views_dsn, [part], stop)
    part.start()
    until(lambda: part.said.state == "running")
    heartbeat.start()
    well = heartbeat.hung.is_set()
    part.said = replace(part.said, at=time.monotonic() - HUNG_SECONDS - 1)
    noticed = heartbeat.hung.wait(5)
    stop.set()
    heartbeat.join(10)

    assert not well
    assert noticed
