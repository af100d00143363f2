"""Keeping processes running: one thread that starts them, restarts those that die, and ends them in order.

It knows nothing of what the processes do. ``ops.up`` hands it the service's own.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ops.errors import LocalServerError
from ops.leftovers import end_session
from ops.processes import ProcessIdentity
from ops.runtime import RecordedProcess
from ops.signals import StopSignals

_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Service:
    """A process to keep running. ``stop``: signals and the seconds to wait after each, before SIGKILL."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    stop: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 15.0),)
    once: bool = False
    """Runs to its end once and is not restarted."""
    when_done: Callable[[int], None] = lambda _status: None
    """Called with the exit status of a process that runs ``once``."""


@dataclass(frozen=True)
class RestartPolicy:
    """Seconds before a restart double from ``first`` to ``longest``; past ``limit`` deaths ``within`` it gives up."""

    first: float = 0.5
    longest: float = 10.0
    limit: int = 5
    within: float = 60.0


@dataclass
class _Kept:
    service: Service
    process: subprocess.Popen[bytes]
    identity: ProcessIdentity | None
    state: str = "running"
    restarts: int = 0
    due: float = 0.0
    deaths: list[float] = field(default_factory=list)


class GaveUp(LocalServerError):
    """A process died too often."""


class Supervisor:
    """Runs services until told to stop. ``record`` is called with all processes whenever one changes."""

    def __init__(
        self,
        signals: StopSignals,
        run_id: str,
        record: Callable[[list[RecordedProcess]], None],
        say: Callable[[str], None],
        policy: RestartPolicy | None = None,
    ) -> None:
        self._signals = signals
        self._run_id = run_id
        self._record = record
        self._say = say
        self._policy = policy or RestartPolicy()
        self._kept: dict[str, _Kept] = {}

    def start(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        process = service.start()
        self._kept[service.name] = _Kept(service, process, ProcessIdentity.of(process.pid))
        self._write()

    def watch(self, until: Callable[[], bool], every: float = _LOOK_SECONDS) -> bool:
        """Keep the services running until ``until()`` says so (True) or a stop was asked for (False).

        Raises GaveUp when a service dies more often than the policy allows.
        """
        while self._signals.received == 0:
            self._look()
            if until():
                return True
            self._signals.wait(min(every, self._next_restart()))
        return False

    def stop(self, names: Sequence[str] | None = None) -> None:
        """End these services (all by default) together, each by its own pid, in the order of its stop signals.

        Every further Ctrl-C or SIGTERM moves on to the next signal at once.
        """
        chosen = [kept for name, kept in self._kept.items() if names is None or name in names]
        steps = max((len(kept.service.stop) for kept in chosen), default=0)
        for step in range(steps):
            waited = 0.0
            for kept in chosen:
                if step < len(kept.service.stop) and kept.process.poll() is None:
                    number, seconds = kept.service.stop[step]
                    kept.process.send_signal(number)
                    # A process that was stopped hears nothing until it is continued.
                    kept.process.send_signal(signal.SIGCONT)
                    waited = max(waited, seconds)
            self._wait_for_end(chosen, waited)
        for kept in chosen:
            if kept.process.poll() is None:
                self._say(f"{kept.service.name} did not stop in time: killed; nothing acknowledged is lost")
                kept.process.kill()
            kept.process.wait()
            end_session(kept.process.pid, self._run_id)
            if kept.state in ("running", "waiting"):
                kept.state = "stopped"
        self._write()

    def _wait_for_end(self, chosen: Sequence[_Kept], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        hurried = self._signals.received
        while time.monotonic() < deadline and self._signals.received == hurried:
            if all(kept.process.poll() is not None for kept in chosen):
                return
            self._signals.wait(min(_LOOK_SECONDS, deadline - time.monotonic()))

    def _look(self) -> None:
        for kept in list(self._kept.values()):
            if kept.state == "running" and kept.process.poll() is not None:
                self._bury(kept, kept.process.returncode)
            elif kept.state == "waiting" and time.monotonic() >= kept.due:
                self._restart(kept)

    def _bury(self, kept: _Kept, status: int) -> None:
        end_session(kept.process.pid, self._run_id)
        if kept.service.once:
            kept.state = "finished" if status == 0 else "failed"
            self._write()
            kept.service.when_done(status)
            return
        self._postpone(kept, _how(status))

    def _postpone(self, kept: _Kept, what: str) -> None:
        """Plan the restart of a service that ended, or give up."""
        now = time.monotonic()
        kept.deaths = [moment for moment in kept.deaths if now - moment < self._policy.within] + [now]
        if len(kept.deaths) > self._policy.limit:
            kept.state = "failed"
            self._write()
            raise GaveUp(
                f"{kept.service.name} {what}, the {len(kept.deaths)}th time within {self._policy.within:.0f} s: "
                f"giving up, see logs/{kept.service.name}.log in the home folder"
            )
        wait = min(self._policy.longest, self._policy.first * 2 ** (len(kept.deaths) - 1))
        kept.state, kept.due = "waiting", now + wait
        self._write()
        self._say(f"{kept.service.name} {what}: starting it again in {wait:g} s")

    def _restart(self, kept: _Kept) -> None:
        try:
            kept.process = kept.service.start()
        except (LocalServerError, OSError) as error:
            self._postpone(kept, f"could not be started ({error})")
            return
        kept.identity = ProcessIdentity.of(kept.process.pid)
        kept.restarts += 1
        kept.state = "running"
        self._write()

    def _next_restart(self) -> float:
        """Return the seconds until the next restart is due."""
        due = [kept.due for kept in self._kept.values() if kept.state == "waiting"]
        return max(0.0, min(due) - time.monotonic()) if due else _LOOK_SECONDS

    def _write(self) -> None:
        self._record([_recorded(kept) for kept in self._kept.values()])


def _recorded(kept: _Kept) -> RecordedProcess:
    started = kept.identity.started if kept.identity else None
    return RecordedProcess(kept.service.name, kept.process.pid, kept.state, kept.restarts, started)


def _how(status: int) -> str:
    """Say how a process ended, from its exit status (negative: the signal; subprocess)."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
