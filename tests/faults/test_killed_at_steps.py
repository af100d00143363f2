"""API and worker processes that die by SIGKILL at named steps, then looked at by the independent check.

Around a send of the relay, around a view's commit, and between an inbox command and its outcome, see also
``tests/integration/consumers``: there parts are killed, here whole processes of a whole copy.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from independent_check import faults
from independent_read import read
from load_clients import Caller, Client, Known
from load_copy import RunningCopy, running_copy
from load_journal import Journal
from load_publisher import Publisher

from application.examples import BODIES
from ops.processes import session_members
from tests.waiting import until

pytestmark = pytest.mark.faults
PARTS = ("relay,schedule", "projections", "forget", "inbox")
LAUNCHER = str(Path(__file__).with_name("killed_at.py"))


class Stage:
    """A copy with one API and a worker process for each part, and the clients' journals."""

    def __init__(self, copy: RunningCopy) -> None:
        self.copy = copy
        self.api = copy.add("api", "api")
        for part in PARTS:
            copy.add(part, "worker", "--only", part)
        copy.serve()
        self.http = Journal(copy.home / "http.jsonl", "http")
        self.inbox = Journal(copy.home / "inbox.jsonl", "inbox")
        self.stop = threading.Event()
        self.known = Known()
        self.publisher = Publisher(copy, self.api.port, self.inbox, random.Random(1), self.stop)
        self.client = self.client_of(self.api.port)
        self.client.agree()

    def client_of(self, *ports: int) -> Client:
        """Return a client that tries these ports, the first one first."""
        return Client(Caller(self.copy, ports, self.http, random.Random(1)), self.known, self.stop)

    def fault_free(self) -> None:
        """Wait until everything has come to rest, and look closely."""
        until(self.copy.settled, 60, "the views at the head")
        assert faults(read(self.copy.place, [self.http.path, self.inbox.path])) == []

    def dying(self, part: str, where: str, when: str) -> None:
        """Put a process that dies at a step in the place of the one that runs a part."""
        genuine = self.copy.servers[part]
        # One that was started a moment ago may not listen to signals yet.
        assert genuine.stop() in (0, -signal.SIGTERM)
        self.copy.add(f"dying {part}", "worker", "--only", part, launcher=(LAUNCHER, where, when, "1", "--"))
        self.copy.serve()

    def died(self, part: str) -> None:
        """Make sure that it died where it should, and start the genuine one again."""
        assert self.copy.servers[f"dying {part}"].bury(30) == -signal.SIGKILL
        self.copy.servers[part].start()


@pytest.fixture(scope="module")
def stage(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path_factory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("steps")
    with running_copy(pg_main, pg_keys, kafka_bootstrap, new_database, home) as copy:
        made = Stage(copy)
        yield made
        made.publisher.close()


@pytest.mark.parametrize(
    ("where", "when", "positions"),
    [
        ("store.log:EventLog.append", "before", 2),
        ("store.log:EventLog.append", "after", 2),
        ("application.service:Service.execute", "after", 2),
    ],
)
def test_an_api_killed_around_the_commit_answers_the_repeated_call(
    stage: Stage, where: str, when: str, positions: int
) -> None:
    head, lost = stage.copy.head(), stage.http.counts["lost"]
    launcher = (LAUNCHER, where, when, "1", "--")
    dying = stage.copy.add("dying api", "api", launcher=launcher)
    stage.copy.serve()
    assert stage.client_of(dying.port, stage.api.port).register() is not None

    assert dying.bury(30) != 0
    assert stage.http.counts["lost"] == lost + 1
    assert stage.copy.head() == head + positions
    stage.fault_free()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_api_whose_parent_dies_while_it_starts_does_not_stay(stage: Stage, when: str) -> None:
    launcher = (LAUNCHER, "api.serving:_die_with_parent", when, "1", "--parent", "--")
    dying = stage.copy.add("orphan", "api", launcher=launcher)

    assert dying.process.wait(30) == -signal.SIGKILL
    until(lambda: not any(session_members(dying.process.pid)), 15, "the end of what it started")


@pytest.mark.parametrize(
    ("part", "where", "when"),
    [
        ("relay,schedule", "consumers.batch_producer:BatchProducer.publish", "before"),
        ("relay,schedule", "consumers.batch_producer:BatchProducer.publish", "after"),
        ("projections", "consumers.runner:ProjectionRunner.move", "before"),
        ("projections", "consumers.runner:ProjectionRunner.move", "after"),
        ("projections", "consumers.runner:ProjectionRunner._take", "after"),
    ],
)
def test_a_worker_killed_at_a_step_does_it_once(stage: Stage, part: str, where: str, when: str) -> None:
    stage.dying(part, where, when)
    for _ in range(3):
        stage.client.register()
        stage.client.open_case()
        stage.client.note()
    stage.died(part)
    stage.fault_free()


@pytest.mark.parametrize(
    ("where", "when"),
    [
        ("application.service:Service.execute", "after"),
        ("consumers.inbox:Inbox._answer", "after"),
        ("kafka.consumer.group:KafkaConsumer.commit", "before"),
        ("kafka.consumer.group:KafkaConsumer.commit", "after"),
    ],
)
def test_an_inbox_killed_at_a_step_gives_one_effect_and_one_answer(stage: Stage, where: str, when: str) -> None:
    stage.dying("inbox", where, when)
    unknown = {"subject_id": "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11", "kind": "second_opinion"}
    stage.publisher.publish([("register_subject", BODIES["register_subject"])] * 4 + [("open_case", unknown)])
    stage.died("inbox")

    until(lambda: stage.publisher.collect(1), 60, "every outcome")
    stage.fault_free()


@pytest.mark.parametrize(
    ("where", "when"),
    [
        ("application.erasure:ErasureSaga.fence", "after"),
        ("vault.vault:Vault.recall", "before"),
        ("vault.vault:Vault.recall", "after"),
        ("application.erasure:ErasureSaga.drain", "after"),
        ("vault.vault:Vault.destroy_many", "before"),
        ("vault.vault:Vault.destroy_many", "after"),
        ("application.erasure:ErasureSaga.destroy", "after"),
        ("application.erasure:ErasureSaga.certify", "before"),
        ("application.erasure:ErasureSaga.certify", "after"),
    ],
)
def test_an_erasure_killed_at_a_step_goes_on_and_is_certified_once(stage: Stage, where: str, when: str) -> None:
    stage.dying("forget", where, when)
    stage.client.erase()
    stage.died("forget")

    started = time.monotonic()
    stage.fault_free()
    assert time.monotonic() - started < 40
