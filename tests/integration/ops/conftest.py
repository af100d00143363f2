"""Whole copies of the service, each in a home of its own, started as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from application.settings import RUNTIME_FILE
from ops.postgres import Cluster
from ops.processes import environment_of, running_pids
from ops.roles import EVENTS, OWNER
from ops.runtime import Runtime
from tests.keyrings import setting_for
from tests.waiting import until

START_SECONDS = 180.0


class Copy:
    """One home, and the ``casekeeper up`` that was started last in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.output = home.with_suffix(".out")
        self.given: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        given = {name: value for name, value in os.environ.items() if not name.startswith("CASEKEEPER_")}
        own = {"CASEKEEPER_HOME": str(self.home), "CASEKEEPER_DEMO": "0"}
        return {**given, **own, **setting_for(self.home), **self.given}

    def casekeeper(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False, timeout=60)

    def launch(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            command = [sys.executable, "-m", "cli.main", "up"]
            self.process = subprocess.Popen(command, env=self.environment(), stdout=output, stderr=output)
        return self.process

    def start(self) -> None:
        self.launch()
        until(self._is_up, START_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def status(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.casekeeper("status", "--json").stdout)
        return report

    def runtime(self) -> Runtime:
        runtime = Runtime.read(self.home)
        assert runtime is not None, f"no {RUNTIME_FILE}"
        return runtime

    def owner_dsn(self) -> str:
        return Cluster(self.home / "pg-main").dsn(OWNER, EVENTS)

    def processes_of_home(self) -> list[int]:
        """Return the pids of processes that name this home in their command, folder or environment."""
        return [pid for pid in running_pids() if pid != os.getpid() and self._names_home(pid)]

    def _names_home(self, pid: int) -> bool:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            folder = str(Path(f"/proc/{pid}/cwd").resolve())
        except OSError:
            return False
        home = str(self.home)
        return home in command or folder.startswith(home) or environment_of(pid).get("CASEKEEPER_HOME") == home

    def _is_up(self) -> bool:
        assert self.process is not None
        said = self.output.read_text()
        assert self.process.poll() is None, f"casekeeper up ended: {said}"
        return "Ctrl-C stops everything" in said


@pytest.fixture
def new_copy(tmp_path: Path) -> Iterator[Callable[[str], Copy]]:
    """Give ``new_copy(name)``; every copy still running when the test ends is stopped."""
    made: list[Copy] = []

    def make(name: str = "home") -> Copy:
        made.append(Copy(tmp_path / name))
        return made[-1]

    yield make
    for copy in made:
        if copy.process is not None and copy.process.poll() is None:
            copy.stop()
