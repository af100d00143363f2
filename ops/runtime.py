"""A home's lock and its ``runtime.json``: who supervises it, which processes run, how to reach them.

The file is readable by its owner only, because connection strings hold passwords.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from application.settings import RUNTIME_FILE
from ops.errors import LocalServerError
from ops.files import private_folder, write_private
from ops.processes import ProcessIdentity

RUN_ID = "CASEKEEPER_RUN_ID"
"""In the environment of every process a supervisor starts: which run of which supervisor it belongs to."""


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home for one supervisor; raises LocalServerError, naming its pid, when another holds it.

    The kernel lets go of the lock when its holder ends, however it ends.
    """
    file = private_folder(home) / "lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip()
            raise LocalServerError(f"already running in {home} (pid {holder or 'unknown'})") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def is_held(home: Path) -> bool:
    """Tell whether a supervisor holds the home, without taking its lock for a moment, which could be in one's way."""
    try:
        file = (home / "lock").stat().st_ino
    except FileNotFoundError:
        return False
    held = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(lock[1] == "FLOCK" and lock[5].endswith(f":{file}") for lock in held)


@dataclass(frozen=True)
class RecordedProcess:
    """One supervised process: ``state`` is running, waiting (to be restarted), finished, failed or stopped."""

    name: str
    pid: int | None
    state: str
    restarts: int
    started: str | None
    """With the pid: which process of this boot (:class:`ops.processes.ProcessIdentity`)."""

    @property
    def identity(self) -> ProcessIdentity | None:
        """Return the process meant, running or not."""
        return None if self.pid is None or self.started is None else ProcessIdentity(self.pid, self.started)


@dataclass
class Runtime:
    """What ``runtime.json`` says."""

    environment: dict[str, str] = field(default_factory=dict)
    supervisor: ProcessIdentity | None = None
    processes: list[RecordedProcess] = field(default_factory=list)
    url: str = ""
    metrics: list[str] = field(default_factory=list)
    """Addresses of the processes' metrics, the API's first."""
    run_id: str = ""

    def is_live(self) -> bool:
        """Tell whether the supervisor that wrote this runs."""
        return self.supervisor is not None and self.supervisor.is_running()

    def write(self, home: Path) -> None:
        """Replace the home's ``runtime.json``."""
        supervisor = None if self.supervisor is None else vars(self.supervisor)
        text = json.dumps(
            {
                "environment": self.environment,
                "supervisor": supervisor,
                "processes": [vars(process) for process in self.processes],
                "url": self.url,
                "metrics": self.metrics,
                "run_id": self.run_id,
            },
            indent=1,
        )
        write_private(home / RUNTIME_FILE, text + "\n")

    @classmethod
    def read(cls, home: Path) -> Runtime | None:
        """Return what is written; None if there is nothing or it is not readable as such."""
        try:
            content: Mapping[str, Any] = json.loads((home / RUNTIME_FILE).read_text())
            return cls(
                environment=dict(content["environment"]),
                supervisor=ProcessIdentity(**content["supervisor"]) if content["supervisor"] else None,
                processes=_processes(content["processes"]),
                url=content["url"],
                metrics=list(content.get("metrics", [])),
                run_id=content["run_id"],
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def _processes(rows: Sequence[Mapping[str, Any]]) -> list[RecordedProcess]:
    return [RecordedProcess(**row) for row in rows]
