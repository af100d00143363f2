"""What a home remembers: its lock, its ports, its runtime file; and how rules hold when it is disturbed."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from application.settings import RUNTIME_FILE, Settings
from ops.errors import LocalServerError
from ops.files import remembered_secret
from ops.ports import is_free, remembered_port
from ops.processes import ProcessIdentity
from ops.runtime import RecordedProcess, Runtime, locked


def test_a_locked_home_is_refused_to_another_process_and_free_again_when_the_holder_is_killed(tmp_path: Path) -> None:
    code = "import sys, signal; from pathlib import Path; from ops.runtime import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); signal.pause()"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    with pytest.raises(LocalServerError, match=rf"already running in .* \(pid {holder.pid}\)"), locked(tmp_path):
        pass
    holder.kill()
    holder.wait()

    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_port_is_kept_while_it_is_free_and_another_taken_when_it_is_not(tmp_path: Path) -> None:
    file = tmp_path / "port"
    first = remembered_port(file)
    assert remembered_port(file) == first
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first))
        stranger.listen()
        assert not is_free(first)
        second = remembered_port(file)

    assert second != first
    assert int(file.read_text()) == second


def test_a_port_that_another_copy_chose_a_moment_ago_is_not_chosen_again(tmp_path: Path) -> None:
    code = "import sys, signal; from pathlib import Path; from ops.ports import remembered_port\n"
    code += "print(remembered_port(Path(sys.argv[1])), flush=True); signal.pause()"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "its")], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    chosen = int(other.stdout.readline())
    assert is_free(chosen)

    assert remembered_port(tmp_path / "ours", preferred=chosen) != chosen
    other.kill()
    other.wait()

    assert remembered_port(tmp_path / "later", preferred=chosen) == chosen


def test_a_preferred_port_is_taken_first_and_a_spoilt_file_is_no_obstacle(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        preferred = probe.getsockname()[1]
    (tmp_path / "port").write_text("rubbish")

    assert remembered_port(tmp_path / "port", preferred) == preferred
    assert remembered_port(tmp_path / "port", preferred + 1) == preferred


def test_the_runtime_file_is_private_and_gives_other_commands_their_settings(tmp_path: Path) -> None:
    own = ProcessIdentity.of(os.getpid())
    assert own is not None
    written = Runtime(
        environment={"CASEKEEPER_KAFKA": "127.0.0.1:9", "CASEKEEPER_EVENTS_DSN": "dbname=e"},
        supervisor=own,
        processes=[RecordedProcess("api", own.pid, "running", 2, own.started)],
        url="http://127.0.0.1:8080",
        run_id="r",
    )
    written.write(tmp_path)

    assert stat.S_IMODE((tmp_path / RUNTIME_FILE).stat().st_mode) == 0o600
    assert Runtime.read(tmp_path) == written
    assert written.is_live()
    settings = Settings.load({"CASEKEEPER_HOME": str(tmp_path), "CASEKEEPER_EVENTS_DSN": "dbname=mine"})
    assert (settings.kafka, settings.events_dsn) == ("127.0.0.1:9", "dbname=mine")


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"environment": 3})])
def test_a_spoilt_runtime_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / RUNTIME_FILE).write_text(content)

    assert Runtime.read(tmp_path) is None


def test_a_process_that_ended_is_not_running_even_while_nobody_collected_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(child.pid)
    assert identity is not None
    assert identity.is_running()
    assert not ProcessIdentity(child.pid, "another-boot/1").is_running()
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert not identity.is_running()
    child.wait()


def test_secrets_are_long_random_and_remembered(tmp_path: Path) -> None:
    first, other = remembered_secret(tmp_path / "first"), remembered_secret(tmp_path / "other")

    assert first != other
    assert len(first) >= 43
    assert remembered_secret(tmp_path / "first") == first
