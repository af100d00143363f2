"""A whole worker process: all its parts at work, seen from outside, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from log_copy import LogCopy, record
from service_stores import ServiceStores

from application.caller import Caller
from application.examples import BODIES
from application.settings import Settings
from application.wiring import build_service
from cli.worker import command
from consumers.batch_producer import BatchProducer
from consumers.published import RecordMac
from consumers.worker import PARTS, chosen
from domain.vocabulary import VIEWS
from projections import health, positions
from tests.waiting import until

INTAKE = Caller("staff", "f1", frozenset({"service"}), "intake", "api", uuid4())


@pytest.fixture
def copy(settings: Settings, service_stores: ServiceStores) -> Settings:
    """A copy with keys and a log of its own."""
    _, keys_dsn, keyring, keys_log = service_stores
    return replace(settings, keys_dsn=keys_dsn, keyring=str(keyring), keys_log=str(keys_log))


class Worker:
    """``casekeeper worker`` as a process."""

    def __init__(self, copy: Settings, *arguments: str) -> None:
        given = {f"CASEKEEPER_{name.upper()}": value for name, value in vars(copy).items() if value}
        self.log = Path(copy.home) / f"worker-{uuid4()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "worker", *arguments], env={**os.environ, **given}, stderr=log
            )

    def stop(self) -> float:
        """Ask it to stop; return the seconds it took."""
        asked = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - asked


@pytest.fixture
def worker(copy: Settings) -> Iterator[Worker]:
    started = Worker(copy)
    yield started
    started.process.kill()
    started.process.wait()


def parts(copy: Settings) -> dict[str, tuple[str, str]]:
    return {part.part: (part.state, part.detail_code) for part in _views(copy, health.parts)}


def all_running(copy: Settings) -> bool:
    found = parts(copy)
    return len(found) == 3 + len(VIEWS) and all(state == "running" for state, _ in found.values())


def test_a_worker_does_everything_and_ends_within_five_seconds(copy: Settings, worker: Worker) -> None:
    until(lambda: all_running(copy))
    service = build_service(copy)
    person = service.execute("register_subject", INTAKE, {}, BODIES["register_subject"]).body
    case = service.execute("open_case", INTAKE, {}, {"subject_id": person["id"], "kind": "second_opinion"}).body
    reached = case["receipt"]["position"]
    until(lambda: set(_views(copy, positions.positions).values()) == {reached})
    service.log.close()
    took = worker.stop()

    assert worker.process.returncode == 0
    assert took < 5
    assert {state for state, _ in parts(copy).values()} == {"stopped"}
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    assert [line["event"] for line in lines if line["event"].startswith("worker")] == [
        "worker started",
        "worker stopped",
    ]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []


def test_a_worker_killed_is_replaced_by_another(copy: Settings, worker: Worker) -> None:
    until(lambda: all_running(copy))
    other = Worker(copy)
    service = build_service(copy)
    service.execute("register_subject", INTAKE, {}, BODIES["register_subject"])
    worker.process.kill()
    reached = service.execute("register_subject", INTAKE, {}, BODIES["register_subject"]).body["receipt"]["position"]
    until(lambda: set(_views(copy, positions.positions).values()) == {reached})
    service.log.close()
    other.stop()

    assert other.process.returncode == 0


def test_a_halted_part_says_so_and_the_others_go_on(copy: Settings, worker: Worker) -> None:
    until(lambda: all_running(copy))
    log_copy = LogCopy(copy)
    log_copy.mac = RecordMac(build_service(copy).vault.secret("relay-mac"))
    log_copy.append_together(*(record() for _ in range(3)))
    until(lambda: set(_views(copy, positions.positions).values()) == {3})
    ahead = BatchProducer(copy.kafka, log_copy.topic, log_copy.mac)
    ahead.publish([log_copy.log.unpublished(3, 1)[0]._replace(position=9)])
    ahead.close()
    log_copy.close()
    until(lambda: all(parts(copy)[view] == ("halted", "LogGap") for view in VIEWS))
    found = parts(copy)

    assert {found["relay"][0], found["inbox"][0], found["schedule"][0]} <= {"running", "retrying"}


@pytest.mark.parametrize(
    ("only", "meant"),
    [
        (None, {"relay", "inbox", "schedule", *VIEWS}),
        (["projections"], VIEWS - {"forget"}),
        (["relay", "forget"], {"relay", "forget"}),
        (["worklist"], {"worklist"}),
    ],
)
def test_a_worker_can_be_split(only: list[str] | None, meant: set[str]) -> None:
    assert chosen(only) == meant


def test_a_part_that_there_is_not_is_named() -> None:
    from click.testing import CliRunner

    answer = CliRunner().invoke(command, ["--only", "relay,everything"])

    assert answer.exit_code != 0
    assert "no such part: everything" in answer.output
    assert all(part in answer.output.replace("\n", " ") for part in PARTS)


def _views(copy: Settings, query):
    connection = psycopg2.connect(copy.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            return query(cursor)
    finally:
        connection.close()
