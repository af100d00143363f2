"""``casekeeper up``: one home from nothing to ready, watched until it is told to stop, and put away in order."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable

from application.settings import RUNTIME_FILE, Settings
from ops import logs
from ops.errors import LocalServerError
from ops.files import private_folder
from ops.health import says_ready
from ops.leftovers import end_left_overs
from ops.ports import silent
from ops.processes import ProcessIdentity
from ops.runtime import RecordedProcess, Runtime, locked
from ops.servers import BROKERS_ADVICE, SERVER_NAMES, LocalServers
from ops.services import ServicePlan
from ops.signals import StopSignals
from ops.supervisor import Supervisor

_ROTATE_SECONDS = 30.0
_SLOW_SECONDS = 60.0
_SIGN_IN = "casekeeper token --role case_manager --actor a1 --purpose casework"


class _StopAsked(Exception):
    """A stop was asked for while something was being waited for."""


class Run:
    """One run of one home. Call it once; returns when everything it started has ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._rotate_at = self._began
        self._runtime = Runtime(run_id=secrets.token_hex(8))

    def __call__(self) -> None:
        """Start everything, watch it, stop it when asked to.

        Raises LocalServerError when the home is in use, a server cannot be started or a process died too often;
        everything that was started has ended by then.
        """
        home = Settings.load().home_path
        with StopSignals() as signals, locked(home):
            self._home = home
            private_folder(home / "logs")
            self._signals = signals
            self._end_left_overs()
            # Read again: what an earlier run wrote down is gone now and must not count as given by the user.
            settings = Settings.load()
            self._development = settings.env == "development"
            self._supervisor = Supervisor(signals, self._runtime.run_id, self._record, self._say)
            try:
                self._start_and_watch(settings)
            except _StopAsked:
                self._say("stopping before it was ready")
            except LocalServerError:
                # Ctrl-C also reaches a program that is being waited for, such as Maven, and makes it fail.
                if not signals.received:
                    raise
            finally:
                self._put_away()

    def _start_and_watch(self, settings: Settings) -> None:
        settings.brokers.options()
        servers = LocalServers(settings)
        self._say(f"casekeeper, state in {self._home}")
        for service in (*servers.databases(), *servers.brokers()):
            self._supervisor.start(service)
        servers.wait_for_databases(self._check)
        plan = ServicePlan(settings, servers, self._runtime.run_id)
        self._migrate(plan)
        servers.wait_for_broker(self._check)
        self._runtime.environment = plan.shared_environment()
        self._runtime.url, self._runtime.metrics = plan.url, plan.metrics
        self._say(_answering(settings))
        for service in plan.workers():
            self._supervisor.start(service)
        if not self._supervisor.watch(self._ready_check(plan.url)):
            raise _StopAsked
        self._announce(plan)
        if plan.demonstration_wanted:
            self._say("loading the demonstration set")
            self._supervisor.start(plan.demonstration(self._demonstration_done))
        self._supervisor.watch(self._rotate_logs)
        self._say("stopping")

    def _migrate(self, plan: ServicePlan) -> None:
        ended: list[int] = []
        self._supervisor.start(plan.migration(ended.append))
        if not self._supervisor.watch(lambda: bool(ended), every=0.05):
            raise _StopAsked
        if ended[0] != 0:
            raise LocalServerError(f"migrations failed, see {self._home / 'logs' / 'migrate.log'}")

    def _ready_check(self, url: str) -> Callable[[], bool]:
        """Return a check that asks the API whether it is ready, and says so once when that takes long."""
        told = False

        def ready() -> bool:
            nonlocal told
            if not told and time.monotonic() - self._began > _SLOW_SECONDS:
                told = True
                self._say(f"not ready yet: casekeeper status, or the logs in {self._home / 'logs'}, say why")
            return says_ready(url)

        return ready

    def _announce(self, plan: ServicePlan) -> None:
        self._say(f"ready after {time.monotonic() - self._began:.1f} s: {plan.url}")
        if self._development:
            self._say(f"sign in at {plan.url}/signin; for a token: {_SIGN_IN}")
        self._say("Ctrl-C stops everything")

    def _demonstration_done(self, status: int) -> None:
        if status == 0:
            self._say("demonstration set loaded")
        else:
            log = self._home / "logs" / "demo.log"
            self._say(f"the demonstration set was not loaded, see {log}; it is tried again at the next start")

    def _end_left_overs(self) -> None:
        left = Runtime.read(self._home)
        if left is not None:
            ended = end_left_overs(left)
            if ended:
                self._say(f"ended what an earlier run left: {', '.join(ended)}")
        (self._home / RUNTIME_FILE).unlink(missing_ok=True)

    def _put_away(self) -> None:
        """End the service's processes first, so that they can finish what they hold, then the servers."""
        names = [process.name for process in self._runtime.processes]
        self._supervisor.stop([name for name in names if name not in SERVER_NAMES])
        self._supervisor.stop([name for name in names if name in SERVER_NAMES])
        (self._home / RUNTIME_FILE).unlink(missing_ok=True)
        self._say("stopped")

    def _rotate_logs(self) -> bool:
        """Keep logs within bounds now and then; never a reason to stop watching."""
        if time.monotonic() >= self._rotate_at:
            self._rotate_at = time.monotonic() + _ROTATE_SECONDS
            logs.rotate(self._home / "logs")
        return False

    def _check(self) -> None:
        if self._signals.received:
            raise _StopAsked

    def _record(self, processes: list[RecordedProcess]) -> None:
        self._runtime.supervisor = self._runtime.supervisor or ProcessIdentity.of(os.getpid())
        self._runtime.processes = processes
        self._runtime.write(self._home)


def _answering(settings: Settings) -> str:
    """Return what can be relied on by now. Without its brokers the service starts, and takes writes, all the same."""
    if settings.kafka and silent(settings.kafka) == settings.kafka.split(","):
        return f"PostgreSQL answers, schemas are current; no answer from Kafka ({settings.kafka}): {BROKERS_ADVICE}"
    return "PostgreSQL and Kafka answer, schemas are current"
