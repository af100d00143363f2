"""The supervisor's promises, kept with small real processes: restart, give up, end in order, leave nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import logs
from ops.leftovers import end_left_overs
from ops.processes import ProcessIdentity, session_members, spawn
from ops.runtime import RUN_ID, RecordedProcess, Runtime
from ops.signals import StopSignals
from ops.supervisor import GaveUp, RestartPolicy, Service, Supervisor
from tests.waiting import until

SLEEPER = "import signal; signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"
    "while True: signal.pause()"
)
PARENT = f"import subprocess; subprocess.Popen(['sleep', '300']); print('born', flush=True); {SLEEPER}"
QUICK = RestartPolicy(first=0.05, longest=0.2, limit=3, within=60.0)
RUN = "run-of-this-test"


class Stage:
    """A supervisor with what it recorded and said."""

    def __init__(self, folder: Path, signals: StopSignals) -> None:
        self.folder = folder
        self.records: list[list[RecordedProcess]] = []
        self.said: list[str] = []
        self.supervisor = Supervisor(signals, RUN, self.records.append, self.said.append, QUICK)

    def service(self, name: str, code: str, **options: object) -> Service:
        def start() -> subprocess.Popen[bytes]:
            environment = {"PATH": os.environ["PATH"], RUN_ID: RUN}
            return spawn([sys.executable, "-c", code], log=self.log(name), environment=environment)

        return Service(name, start, **options)  # type: ignore[arg-type]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def recorded(self, name: str) -> RecordedProcess:
        return next(process for process in self.records[-1] if process.name == name)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with StopSignals() as signals:
        made = Stage(tmp_path, signals)
        yield made
        made.supervisor.stop()


def has_run(stage: Stage, name: str, restarts: int) -> Callable[[], bool]:
    return lambda: stage.recorded(name).restarts == restarts and stage.recorded(name).state == "running"


def test_a_killed_child_is_started_again(stage: Stage) -> None:
    stage.supervisor.start(stage.service("worker", SLEEPER))
    first = stage.recorded("worker")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)

    assert stage.supervisor.watch(has_run(stage, "worker", 1))

    second = stage.recorded("worker")
    assert second.pid != first.pid
    assert second.identity is not None
    assert second.identity.is_running()
    assert stage.said == ["worker was ended by SIGKILL: starting it again in 0.05 s"]


def test_a_child_that_keeps_dying_is_given_up_after_doubling_waits(stage: Stage) -> None:
    stage.supervisor.start(stage.service("worker", "raise SystemExit(3)"))

    with pytest.raises(GaveUp, match=r"worker ended with status 3, the 4th time within 60 s"):
        stage.supervisor.watch(lambda: False)

    assert [line.rpartition(" in ")[2] for line in stage.said] == ["0.05 s", "0.1 s", "0.2 s"]
    assert stage.recorded("worker").state == "failed"


def test_what_runs_once_is_not_started_again(stage: Stage) -> None:
    ended: list[int] = []
    stage.supervisor.start(stage.service("good", "pass", once=True, when_done=ended.append))
    assert stage.supervisor.watch(lambda: len(ended) == 1)
    stage.supervisor.start(stage.service("bad", "raise SystemExit(7)", once=True, when_done=ended.append))
    assert stage.supervisor.watch(lambda: len(ended) == 2)

    assert ended == [0, 7]
    assert [(process.state, process.restarts) for process in stage.records[-1]] == [("finished", 0), ("failed", 0)]


def test_sigterm_ends_the_watch_and_every_child_with_its_own_children(stage: Stage) -> None:
    stage.supervisor.start(stage.service("parent", PARENT))
    until(lambda: "born" in stage.log("parent").read_text())
    leader = stage.recorded("parent").pid
    assert leader is not None
    assert len(list(session_members(leader))) == 2
    os.kill(os.getpid(), signal.SIGTERM)

    assert stage.supervisor.watch(lambda: False) is False
    stage.supervisor.stop()

    assert list(session_members(leader)) == []
    assert stage.recorded("parent").state == "stopped"


def test_a_child_that_does_not_hear_sigterm_is_killed_after_its_time(stage: Stage) -> None:
    stage.supervisor.start(stage.service("deaf", STUBBORN, stop=((signal.SIGTERM, 0.3),)))
    until(lambda: "deaf" in stage.log("deaf").read_text())

    stage.supervisor.stop()

    assert stage.said == ["deaf did not stop in time: killed; nothing acknowledged is lost"]
    identity = stage.recorded("deaf").identity
    assert identity is not None
    assert not identity.is_running()


def test_a_child_is_told_when_its_parent_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    parent = (
        "import os, signal, sys; from pathlib import Path; from ops.processes import spawn\n"
        f"child = spawn([sys.executable, '-c', {SLEEPER!r}], log=Path({str(log)!r}), environment=dict(os.environ))\n"
        "print(child.pid, flush=True); signal.pause()"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    child = ProcessIdentity.of(int(supervisor.stdout.readline()))
    assert child is not None
    until(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes().startswith(sys.executable.encode()))

    supervisor.kill()
    supervisor.wait()

    assert until(lambda: not child.is_running())


def test_left_overs_are_ended_and_a_stranger_with_a_recorded_pid_is_not(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], RUN_ID: RUN}
    ours = spawn([sys.executable, "-c", STUBBORN], log=tmp_path / "ours", environment=environment)
    parent = spawn([sys.executable, "-c", PARENT], log=tmp_path / "parent", environment=environment)
    stranger = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        until(lambda: "born" in (tmp_path / "parent").read_text())
        identity = ProcessIdentity.of(ours.pid)
        assert identity is not None
        # The parent itself is gone; its child lives on in the session it led. It was recorded with its true start.
        led = ProcessIdentity.of(parent.pid)
        assert led is not None
        parent.kill()
        parent.wait()
        rows = [
            RecordedProcess("worker", ours.pid, "running", 0, identity.started),
            RecordedProcess("api", parent.pid, "running", 0, led.started),
            RecordedProcess("demo", stranger.pid, "running", 0, "another boot/12"),
        ]

        ended = end_left_overs(Runtime(processes=rows, run_id=RUN))

        assert ended == ["worker", "api (a child of it)"]
        assert list(session_members(parent.pid)) == []
        assert stranger.poll() is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()


def test_a_log_that_grew_is_moved_aside_while_its_process_writes_on(tmp_path: Path) -> None:
    writer = spawn(["cat", "/dev/zero"], log=tmp_path / "chatty.log", environment={"PATH": os.environ["PATH"]})
    try:
        chatty = tmp_path / "chatty.log"
        until(lambda: chatty.stat().st_size > 1_000_000)
        writer.send_signal(signal.SIGSTOP)
        until(lambda: Path(f"/proc/{writer.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        before = chatty.stat().st_size

        assert logs.rotate(tmp_path, limit=1_000_000, kept=2) == ["chatty.log"]

        assert (tmp_path / "chatty.log.1").stat().st_size == before
        assert chatty.stat().st_size == 0
        writer.send_signal(signal.SIGCONT)
        until(lambda: chatty.stat().st_size > 0)
        with chatty.open("rb") as stream:
            assert stream.read(16) == bytes(16)
    finally:
        writer.kill()
        writer.wait()
