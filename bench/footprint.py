"""From start to ready, and what each process of a whole local copy takes: memory at rest and under load, and its rest.

Memory is the proportional set size: pages shared by several processes count once in all.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from api.dev_tokens import DevIssuer
from application.examples import BODIES
from application.settings import Settings
from application.wiring import build_service
from bench.api_copy import caller
from bench.figures import Figure, Result, Run
from bench.load import load
from ops.runtime import Runtime

_READY_SECONDS, _SETTLE_SECONDS, _LOAD_SECONDS = 180.0, 10.0, 10.0
_CLIENTS, _CASES = 8, 64

FIRST_START = Figure(
    "first start to ready", "s", 1.0, at_most=True, note="the goal of 30 s; packages and jars are there"
)
NEXT_START = Figure("next start to ready", "s", 1.0, at_most=True, note="the goal of 15 s")
_START_LIMITS = {FIRST_START: 30.0, NEXT_START: 15.0}
RESTING = Figure("worker at rest, processor", "% of a core", 1.0, at_most=True, group="full", note="the goal of 10 %")
_RESTING_PERCENT = 10.0
BOUNDS_MB = {"supervisor": 40, "api": 120, "worker": 120, "pg-main": 250, "pg-keys": 100, "kafka": 700}
AT_REST = {
    name: Figure(f"memory at rest, {name}", "MB", 1.0, at_most=True, group="full", note=f"the bound of {bound} MB")
    for name, bound in BOUNDS_MB.items()
}
UNDER_LOAD = {
    name: Figure(f"memory under load, {name}", "MB", 1.0, at_most=True, group="full", note=f"the bound of {bound} MB")
    for name, bound in BOUNDS_MB.items()
}
FIGURES = (FIRST_START, NEXT_START, RESTING, *AT_REST.values(), *UNDER_LOAD.values())


def measure(run: Run) -> Iterator[Result]:
    """Yield all of it from two starts of one copy; under load, clients add notes as fast as they are answered."""
    home = run.folder / "home"
    for figure, limit in _START_LIMITS.items():
        started = time.monotonic()
        with _copy(home):
            yield figure.result(time.monotonic() - started, limit)
            if figure is NEXT_START and any(
                run.wants(one) for one in (RESTING, *AT_REST.values(), *UNDER_LOAD.values())
            ):
                yield from _resources(home)


def _resources(home: Path) -> Iterator[Result]:
    time.sleep(_SETTLE_SECONDS)
    processes = _processes(home)
    yield RESTING.result(_percent(processes["worker"]), _RESTING_PERCENT)
    for name, size in _sizes(processes).items():
        yield AT_REST[name].result(size, BOUNDS_MB[name])
    with ThreadPoolExecutor(1) as thread:
        adding = thread.submit(_add_notes, home)
        highest = _sizes(processes)
        while not adding.done():
            time.sleep(0.5)
            highest = {name: max(size, highest[name]) for name, size in _sizes(processes).items()}
        adding.result()
    for name, size in highest.items():
        yield UNDER_LOAD[name].result(size, BOUNDS_MB[name])


@contextmanager
def _copy(home: Path) -> Iterator[None]:
    """Run a local copy until the block ends; it is ready when the block begins. Raises ``RuntimeError``."""
    environment = {**os.environ, "CASEKEEPER_HOME": str(home), "CASEKEEPER_DEMO": "0"}
    command = [sys.executable, "-m", "cli.main", "up"]
    with home.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        give_up = time.monotonic() + _READY_SECONDS
        while not _ready(home):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("the copy did not come up: see its log")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _ready(home: Path) -> bool:
    runtime = Runtime.read(home)
    if runtime is None or not runtime.url or not runtime.is_live():
        return False
    try:
        with urllib.request.urlopen(f"{runtime.url}/health/ready", timeout=2) as answer:
            return bool(json.load(answer)["ready"])
    except (OSError, ValueError):
        return False


def _processes(home: Path) -> dict[str, int]:
    """Return name → pid of the copy's processes, servers included."""
    runtime = Runtime.read(home)
    assert runtime is not None
    assert runtime.supervisor is not None
    others = {process.name: process.pid for process in runtime.processes if process.pid and process.name in BOUNDS_MB}
    return {"supervisor": runtime.supervisor.pid, **others}


def _sizes(processes: Mapping[str, int]) -> dict[str, float]:
    """Return MB of each process with all its descendants; the supervisor alone, for all others descend from it."""
    children = _children()
    return {
        name: sum(_megabytes(one) for one in ([pid] if name == "supervisor" else _family(pid, children)))
        for name, pid in processes.items()
    }


def _family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    return [pid, *(one for child in children.get(pid, ()) for one in _family(child, children))]


def _children() -> dict[int, list[int]]:
    """Return parent → children of all processes."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything; what follows it is: state, parent.
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(int(entry.parent.name))
    return found


def _megabytes(pid: int) -> float:
    """Return the proportional set size of a process, 0 when it has just ended; proc_pid_smaps(5)."""
    try:
        size = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(size[1]) / 1024 if size else 0.0


def _percent(pid: int) -> float:
    """Return how much of a core a process takes, over some seconds."""
    before, started = _seconds_of(pid), time.monotonic()
    time.sleep(_SETTLE_SECONDS)
    return 100 * (_seconds_of(pid) - before) / (time.monotonic() - started)


def _seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _add_notes(home: Path) -> None:
    """Open a case and add notes to it and its like over HTTP, many at a time."""
    settings = Settings.load({"CASEKEEPER_HOME": str(home)})
    service = build_service(replace(settings, home=str(home)))
    with closing(service.log), closing(service.vault):
        # Far more cases than clients, and people of their own: what is measured is work, not conflicts.
        people = [service.execute("register_subject", caller(), {}, BODIES["register_subject"]) for _ in range(_CASES)]
        bodies = [{**BODIES["open_case"], "subject_id": person.body["id"]} for person in people]
        cases = [service.execute("open_case", caller(), {}, body).body["id"] for body in bodies]
        issuer = DevIssuer(settings, service.vault)
        tokens = [issuer.issue(f"a{number}", ["case_manager"], "casework") for number in range(_CLIENTS)]
    runtime = Runtime.read(home)
    assert runtime is not None
    port = int(runtime.url.rpartition(":")[2].strip("/"))
    load(
        port,
        _CLIENTS,
        _LOAD_SECONDS,
        "201",
        [(f"/v1/cases/{case}/notes", tokens[n % _CLIENTS]) for n, case in enumerate(cases)],
    )
