"""A process that is stopped does not lead for ever: its lease runs out, and when it wakes it knows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from uuid import uuid4

import pytest

from consumers.leadership import LEASE_SECONDS, Leadership
from domain.errors import StoreUnavailable

pytestmark = pytest.mark.faults

_LEADER = """
import sys, time
from consumers.leadership import Leadership
from domain.errors import StoreUnavailable
with Leadership(sys.argv[1], sys.argv[2], StoreUnavailable) as leadership:
    print(leadership.acquire(), flush=True)
    for _ in sys.stdin:
        print(leadership.held(), flush=True)
"""


def _ask(leader: subprocess.Popen[str]) -> str:
    assert leader.stdin is not None
    assert leader.stdout is not None
    leader.stdin.write("\n")
    leader.stdin.flush()
    return leader.stdout.readline().strip()


@pytest.fixture
def leader(pg_main: str):
    name = f"test-{uuid4()}"
    process = subprocess.Popen(
        [sys.executable, "-c", _LEADER, pg_main, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "True"
    yield process, name
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_leader_that_is_stopped_is_replaced_and_knows_it_when_it_wakes(pg_main: str, leader) -> None:
    process, name = leader
    with Leadership(pg_main, name, StoreUnavailable) as other:
        time.sleep(LEASE_SECONDS + 2)
        assert not other.acquire(), "one that lives and says nothing keeps its lead"
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        while not other.acquire():
            assert time.monotonic() - stopped < LEASE_SECONDS + 3, "nobody takes over from a leader that is stopped"
            time.sleep(0.1)
        took = time.monotonic() - stopped
        process.send_signal(signal.SIGCONT)

        assert _ask(process) == "False"
        assert other.held()
    assert took > LEASE_SECONDS - 3, "a leader that was silent for a moment keeps its lead"
