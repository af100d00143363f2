"""A database that takes bytes and says nothing (its disk stalls, or somebody stopped it) holds nobody's health up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from postgres_clients import Http, Load
from postgres_stage import DATABASES, Server, Stage

from tests.callers import INTAKE_SERVICE
from tests.waiting import until

pytestmark = pytest.mark.faults
PROBES = 60
PROBE_SECONDS = 8.0
"""3 s for the stores, and what 60 requests at once cost a busy machine."""


@pytest.fixture(scope="module")
def stage(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("silent"), kafka_bootstrap)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@contextmanager
def silent(server: Server) -> Iterator[None]:
    """Stop all processes of a server that there are; their kernel goes on to take what is sent to them."""
    postmaster = int((server.cluster.folder / "store" / "data" / "postmaster.pid").read_text().split()[0])
    # The one that makes the others first, so that there are no more.
    os.kill(postmaster, signal.SIGSTOP)
    pids = [postmaster, *map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())]
    for pid in pids[1:]:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("store", DATABASES)
def test_health_is_answered_in_time_and_names_the_store(stage: Stage, store: str) -> None:
    def probe(path: str) -> tuple[int, dict[str, str], float]:
        http, began = Http(stage, INTAKE_SERVICE), time.monotonic()
        reply = http.call("GET", path)
        http.close()
        return reply.status, reply.body.get("reasons", {}), time.monotonic() - began

    until(lambda: probe("/health/ready")[0] == 200, 60, "all well")
    with Load(stage) as load:
        load.go_on(5)
        with silent(stage.servers[store]), ThreadPoolExecutor(PROBES) as threads:
            ready = list(threads.map(probe, ["/health/ready"] * PROBES))
            live = list(threads.map(probe, ["/health/live"] * 5))
        load.go_on(5)
    took = [max(seconds for *_, seconds in answers) for answers in (ready, live)]
    print(f"\n{store}: ready after {took[0]:.1f} s, live after {took[1]:.2f} s")

    name = "store" if store == "events" else store
    assert {(status, reasons.get(name)) for status, reasons, _ in ready} == {(503, "no answer")}
    assert {status for status, *_ in live} == {200}
    assert max(took) < PROBE_SECONDS
    assert load.told.violations == []
