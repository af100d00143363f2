"""No process leaves its memory on a disk when it crashes: not ours, not the servers we start.

Seen from outside: the kernel itself tells in a process's wait status whether it wrote a core.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from crashable_cluster import OwnCluster

from ops.kafka.broker import Broker
from ops.processes import spawn
from tests.waiting import until

CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
PATTERN = Path("/proc/sys/kernel/core_pattern")
_, MOST = resource.getrlimit(resource.RLIMIT_CORE)


def limit_of(pid: int) -> str:
    """Return the limit in force for a process's core dump, in bytes."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    [line] = [line for line in limits if line.startswith("Max core file size")]
    return line.split()[4]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cores_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("core*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]


def unlimited() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def dumped(process: subprocess.Popen[bytes]) -> bool:
    """Wait for a child to end and return whether the kernel wrote a core; it must have ended by the crash."""
    _, status = os.waitpid(process.pid, 0)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return os.WCOREDUMP(status)


def test_a_crash_of_a_process_that_we_start_dumps_no_core(tmp_path: Path) -> None:
    process = spawn([sys.executable, "-c", CRASH], log=tmp_path / "log", environment=os.environ)

    assert not dumped(process)


@pytest.mark.skipif(MOST != resource.RLIM_INFINITY, reason="whoever runs the tests may dump no core")
@pytest.mark.skipif(PATTERN.read_text().startswith("|"), reason="cores of this machine go to a program of its own")
def test_the_same_crash_without_the_limit_does(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", CRASH], cwd=tmp_path, preexec_fn=unlimited)

    assert dumped(process)
    assert "/" in PATTERN.read_text() or cores_in(tmp_path)


def test_every_command_of_ours_has_the_limit_and_cannot_take_it_back() -> None:
    program = (
        "import cli.main, resource\n"
        "cli.main.cli.main = lambda **_: print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "cli.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "(1, 1)\n"


def test_postgresql_crashes_without_a_core_in_its_folder(own_cluster: OwnCluster) -> None:
    """The folder is what base backups copy."""
    session = own_cluster.administrator()
    backend = session.info.backend_pid
    postmaster = int((own_cluster.data / "postmaster.pid").read_text().splitlines()[0])
    assert {limit_of(pid) for pid in (postmaster, *children(postmaster))} == {"1"}

    os.kill(backend, signal.SIGSEGV)
    with pytest.raises(psycopg2.Error), session.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    until(lambda: "signal 11" in own_cluster.log.read_text(), 30, "the server to see the crash")
    own_cluster.administrator().close()

    assert "core dumped" not in own_cluster.log.read_text()
    assert cores_in(own_cluster.data) == []


@pytest.mark.skipif(MOST != resource.RLIM_INFINITY, reason="whoever runs the tests may dump no core")
@pytest.mark.skipif(PATTERN.read_text().startswith(("|", "/")), reason="cores of this machine go elsewhere")
def test_without_the_limit_postgresql_leaves_one_there(own_cluster: OwnCluster) -> None:
    with closing(own_cluster.administrator()) as session:
        backend = session.info.backend_pid
        resource.prlimit(backend, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.kill(backend, signal.SIGSEGV)
        with pytest.raises(psycopg2.Error), session.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
    until(lambda: cores_in(own_cluster.data), 30, "the core")
    for core in cores_in(own_cluster.data):
        core.unlink()
    own_cluster.administrator().close()


def test_a_broker_has_the_limit(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka")
    process = broker.start(tmp_path / "kafka.log")
    try:
        until(lambda: b"java" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), 30, "Java")
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert limit_of(process.pid) == "1"
        assert b"-XX:-CreateCoredumpOnCrash" in command
        assert not [option for option in command if b"HeapDump" in option]
    finally:
        broker.stop()
