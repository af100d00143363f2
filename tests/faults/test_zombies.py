"""Workers stopped at the worst moments, longer than their leases, and continued: others take over, nothing changes."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from independent_check import faults
from independent_read import read
from load_clients import Caller, Client, Known
from load_copy import RunningCopy, running_copy
from load_journal import Journal
from load_publisher import Publisher
from rebalance_watch import Watch, admitted

from domain.vocabulary import VIEWS
from tests.waiting import until

pytestmark = pytest.mark.faults
LAUNCHER = str(Path(__file__).with_name("zombie_at.py"))
TAKEN_OVER_SECONDS = 40.0
"""10 s of a lease, or 20 s inside a transaction, or 30 s in the midst of a destruction of keys."""

STEPS = {
    "relay,schedule": ("consumers.batch_producer:BatchProducer.confirm", "before"),
    "projections": ("consumers.runner:ProjectionRunner.move", "after"),
    "inbox": ("consumers.inbox_handler:InboxHandler.handle", "after"),
    "forget": ("vault.forgetting:Forgetting._finish", "before"),
}
"""Parts → where their worker stops: a batch held and not sent; rows and position changed and not committed; a command
carried out and not answered; keys wrapped anew and the old root not destroyed."""


@pytest.fixture
def copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path: Path) -> Iterator[RunningCopy]:
    with running_copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path) as made:
        made.add("api", "api")
        for parts, (where, when) in STEPS.items():
            launcher = (LAUNCHER, where, when, str(tmp_path / f"stop-{parts}"), "--")
            made.add(parts, "worker", "--only", parts, launcher=launcher)
        until(lambda: admitted(made.settings.events_dsn))
        yield made
        for server in made.servers.values():
            if server.process.poll() is None:
                os.kill(server.process.pid, signal.SIGCONT)


def stopped(copy: RunningCopy, parts: str) -> bool:
    status = Path(f"/proc/{copy.servers[parts].process.pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


def stop_at_its_step(copy: RunningCopy, parts: str, folder: Path) -> None:
    """Stop a worker at its step; again, where another of its threads was just holding the lock of a file of keys.

    Such a lock has no lease: until the supervisor ends the process that holds it, whoever wants it says so and fails.
    """
    for _ in range(20):
        (folder / f"stop-{parts}").touch()
        until(lambda: stopped(copy, parts), 60, f"{parts} stopped at its step")
        if all(comes_free(file) for file in folder.rglob(".lock")):
            return
        os.kill(copy.servers[parts].process.pid, signal.SIGCONT)
    pytest.fail(f"{parts} never stopped without the lock of a file")


def comes_free(file: Path) -> bool:
    """Return whether a lock can be had within a second."""
    with file.open("rb") as opened:
        for _ in range(100):
            with suppress(BlockingIOError):
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.01)
    return False


def test_others_take_over_from_zombies_which_change_nothing_when_they_wake(copy: RunningCopy, tmp_path: Path) -> None:
    stop = threading.Event()
    port = copy.servers["api"].port
    http, inbox = Journal(tmp_path / "http.jsonl", "http"), Journal(tmp_path / "inbox.jsonl", "inbox")
    client = Client(Caller(copy, [port], http, random.Random(2)), Known(), stop)
    publisher = Publisher(copy, port, inbox, random.Random(3), stop)
    watch = Watch(copy.settings.events_dsn, copy.settings.views_dsn, copy.settings.topic_prefix)
    until(lambda: copy.servers["projections"].ready(), 30)
    for thread in (client, publisher, watch):
        thread.start()
    try:
        until(lambda: copy.head() > 60 and watch.positions.keys() >= VIEWS)
        copy.add("genuine", "worker")
        before = {part: pids[-1] for part, pids in watch.leaders.items()}
        for parts in reversed(STEPS):
            # Erasures first: they need the other parts to come to the step.
            stop_at_its_step(copy, parts, tmp_path)
        began, head = time.monotonic(), copy.head()
        until(lambda: min(watch.positions.values()) >= head, TAKEN_OVER_SECONDS, "others taking over")
        took = time.monotonic() - began
        assert all(stopped(copy, parts) for parts in STEPS)
        after = {part: pids[-1] for part, pids in watch.leaders.items()}
        for parts in STEPS:
            os.kill(copy.servers[parts].process.pid, signal.SIGCONT)
        woken = copy.head()
        until(lambda: min(watch.positions.values()) > woken + 60)
    finally:
        stop.set()
        for thread in (client, publisher):
            thread.join(120)
        watch.end()
    until(copy.settled, 60, "the views at the head")
    statuses = {name: server.stop() for name, server in copy.servers.items()}
    seen = read(copy.place, [http.path, inbox.path])
    print(f"taken over in {took:.1f} s; {len(seen.rows)} events, {len(seen.topic)} on the topic")

    assert [thread.error for thread in (client, publisher) if thread.error is not None] == []
    assert faults(seen) == []
    assert watch.went_back == []
    assert [part for part in before if before[part] == after[part]] == []
    assert statuses == dict.fromkeys(copy.servers, 0)
