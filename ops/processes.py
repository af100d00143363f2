"""Starting, recognising and ending operating-system processes, each by its own pid.

A process is identified by its pid together with the moment it started, because pids are used again.
Linux only: reads ``/proc``.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import LocalServerError

POLL_SECONDS = 0.05

_NO_CORE = 1
"""Bytes. Smaller than any core file, so that none is written; and the one value at which Linux does not call a program
named in ``core_pattern`` either, which it does at 0 (do_coredump in fs/coredump.c)."""


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of this boot; ``started`` is ``<boot id>/<clock ticks since boot>``."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Return the identity of a running process, or None if there is none (a zombie has ended)."""
        stat = _stat(pid)
        if stat is None or stat.state in "ZX":
            return None
        return cls(pid, f"{_boot_id()}/{stat.started_ticks}")

    def is_running(self) -> bool:
        """Tell whether this very process, not another with its pid, is running."""
        return ProcessIdentity.of(self.pid) == self


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    started_ticks: int


def forbid_core_dumps(*, for_good: bool = False) -> None:
    """Let neither this process nor any it starts leave its memory on a disk when it crashes.

    ``for_good``: nor may any of them allow it again.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = _NO_CORE if most == resource.RLIM_INFINITY else min(_NO_CORE, most)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit if for_good else most))


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    on_parent_death: signal.Signals = signal.SIGTERM,
    prefix: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to ``log`` (created 0600).

    The kernel sends it ``on_parent_death`` when the thread that called this ends, however it ends; ``prefix`` is a
    command that changes who runs it, which is why it stands before the wish, that a change of user would clear.
    It leaves no core dump when it crashes, and neither does this process from now on, for the limit is inherited.
    """
    forbid_core_dumps()
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [*prefix, *_death_signal(on_parent_death), *command],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=dict(environment),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def wait_until_ready(
    process: subprocess.Popen[bytes] | None,
    name: str,
    ready: Callable[[], bool],
    seconds: float,
    waiting: Callable[[], None],
) -> None:
    """Return when a server that was started takes connections, calling ``waiting`` between tries.

    Raises LocalServerError if it ends, or is not ready in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is None or process.poll() is not None:
            raise LocalServerError(f"{name} ended while starting: see its log")
        if ready():
            return
        waiting()
        time.sleep(POLL_SECONDS)
    raise LocalServerError(f"{name} is not ready after {seconds:.0f} s: see its log")


def end_child(
    process: subprocess.Popen[bytes], signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
) -> int:
    """Send each signal and wait its seconds until the child ends, at last SIGKILL; return its exit status."""
    for number, seconds in signals:
        if process.poll() is not None:
            break
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
    if process.poll() is None:
        process.kill()
    return process.wait()


def end_left_over(
    identity: ProcessIdentity, signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
) -> bool:
    """End a process that is not our child; return False if it no longer ran. Never touches another with its pid."""
    if not identity.is_running():
        return False
    for number, seconds in (*signals, (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            if identity.is_running():
                os.kill(identity.pid, number)
                # A process that was stopped hears nothing until it is continued.
                os.kill(identity.pid, signal.SIGCONT)
        deadline = time.monotonic() + seconds
        while identity.is_running() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if not identity.is_running():
            break
    return True


def session_members(session: int) -> Iterator[ProcessIdentity]:
    """Yield the running processes of a session, the leader among them if it runs."""
    for pid in running_pids():
        stat = _stat(pid)
        if stat is not None and stat.session == session:
            identity = ProcessIdentity.of(pid)
            if identity is not None:
                yield identity


def running_pids() -> list[int]:
    """Return the pids of this machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment a process was started with; empty if it ended or belongs to somebody else."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in raw.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def _death_signal(number: signal.Signals) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"] if setpriv else []


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in brackets, may itself hold brackets and blanks: read from the last one (proc(5)).
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], session=int(fields[3]), started_ticks=int(fields[19]))


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
