"""Stopped-process attack: an API process is stopped by SIGSTOP at a named point, the person is forgotten, it wakes.

What it was doing then comes out thus:

- A write is refused (410), whether its data was sealed already or not: the fence stands in the log, and the log
  refuses what uses a fenced person or scope, whatever the process still holds in memory.
- A read whose record is not in the log yet shows tombstones, even if the values were opened already: the record of a
  read is appended with what was opened, so it is refused as a write is, and the read begins again.
- A read whose record *is* in the log, before the fence, may still be answered with what it opened, however late: this
  one answer is on its way to somebody who was allowed to have it, and is on record. No other carries anything.
- The next read says that the person was erased, also with a warm key cache.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from load_copy import RunningCopy, Server, running_copy

from ops.processes import session_members
from tests.attacks.conftest import Tell
from tests.e2e.journey import (
    INTAKE_SERVICE,
    MANAGER,
    RIGHTS_SERVICE,
    Markers,
    find_erased,
    forgotten,
    intake_body,
    subject_body,
)
from tests.waiting import until

pytestmark = pytest.mark.faults
LAUNCHER = str(Path(__file__).parents[1] / "faults" / "zombie_at.py")
READ_POINTS = {
    "after the fence check": ("application.reading:Reading._fenced", "after"),
    "after opening": ("vault.vault:Vault.open_many", "after"),
    "before its record": ("application.reading:Reading.record", "before"),
}
WRITE_POINTS = {
    "after the person was loaded": ("application.unit_of_work:UnitOfWork.person", "after"),
    "before sealing": ("vault.vault:Vault.seal", "before"),
    "after sealing": ("vault.vault:Vault.seal", "after"),
    "before the append": ("store.log:EventLog.append", "before"),
}


class Stage:
    """A copy with one API and one worker that run on, and one API that stops where it is told to."""

    def __init__(self, copy: RunningCopy, folder: Path) -> None:
        self.copy = copy
        self._asked = folder / "stop"
        self.markers = Markers()
        self.other = copy.add("other", "api")
        copy.add("worker", "worker")
        copy.serve()

    def add_stopping(self, where: str, when: str) -> Server:
        server = self.copy.add(f"stopping-{uuid4()}", "api", launcher=(LAUNCHER, where, when, str(self._asked), "--"))
        self.copy.serve()
        return server

    def call(self, server: Server, who: tuple[str, str, str], method: str, path: str, body: Any = None) -> Any:
        """Return status and body of one call, however long the process is stopped meanwhile."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        headers = {"Authorization": f"Bearer {self.copy.token(*who)}", "Content-Type": "application/json"}
        if body is not None:
            headers["Idempotency-Key"] = str(uuid4())
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def did(self, who: tuple[str, str, str], method: str, path: str, body: Any = None) -> Any:
        """Return the body of a call to the API that runs on."""
        status, answer = self.call(self.other, who, method, path, body)
        assert 200 <= status < 300, (status, answer)
        return answer

    def register(self) -> tuple[str, str]:
        """Return a new person with one case and an intake, once it was read."""
        person = subject_body(self.markers)
        # Somebody who resembles an erased person would go to a privacy officer.
        own = {"birth_date": None, "phone": None, "email": f"{uuid4().hex}@example.org"}
        person["identity"] = {**person["identity"], **own}
        subject = self.did(INTAKE_SERVICE, "POST", "/v1/subjects", person)["id"]
        body = {"subject_id": subject, "kind": "second_opinion"}
        case = self.did(INTAKE_SERVICE, "POST", "/v1/cases", body)["id"]
        made = self.did(INTAKE_SERVICE, "POST", f"/v1/cases/{case}/intakes", intake_body(self.markers))
        self.did(MANAGER, "GET", f"/v1/cases/{case}?after={made['receipt']['position']}")
        return subject, case

    def forget(self, subject: str) -> str:
        """Have a person forgotten, up to the certificate, and return its id."""
        return forgotten(partial(self.call, self.other), subject)

    def stopped_during(
        self, server: Server, who: tuple[str, str, str], method: str, path: str, body: Any = None
    ) -> Any:
        """Begin a call in which the process stops; return how to wake it, which returns the answer."""
        answers: list[Any] = []
        self._asked.touch()
        thread = threading.Thread(target=lambda: answers.append(self.call(server, who, method, path, body)))
        thread.start()
        until(lambda: is_stopped(server), 30, "stopping")

        def wake() -> Any:
            assert answers == []
            send(server, signal.SIGCONT)
            thread.join(60)
            [answer] = answers
            return answer

        return wake


def send(server: Server, number: int) -> None:
    for member in session_members(server.process.pid):
        os.kill(member.pid, number)


def is_stopped(server: Server) -> bool:
    states = [
        Path(f"/proc/{m.pid}/stat").read_text().rpartition(")")[2].split()[0]
        for m in session_members(server.process.pid)
    ]
    return "T" in states


@pytest.fixture(scope="module")
def stage(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path_factory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("stopped")
    with running_copy(pg_main, pg_keys, kafka_bootstrap, new_database, home) as copy:
        made = Stage(copy, home)
        yield made
        for server in copy.servers.values():
            send(server, signal.SIGCONT)


def assert_erased(stage: Stage, server: Server, subject: str, case: str, certificate: str) -> None:
    """Make sure that a process answers what it must of somebody who was forgotten, and takes nothing new in."""
    for path in (f"/v1/cases/{case}", f"/v1/subjects/{subject}"):
        status, answer = stage.call(server, MANAGER, "GET", path)
        assert status == 200, answer
        assert {tombstone["certificate_id"] for tombstone in find_erased(answer)} == {certificate}
        assert stage.markers.run not in json.dumps(answer)
    body = {"text": stage.markers("late")}
    assert stage.call(server, MANAGER, "POST", f"/v1/cases/{case}/notes", body)[0] == 410


def fence_and_reads(stage: Stage, subject: str) -> tuple[int, list[tuple[int, bool]]]:
    """Return the position of a person's fence, and of every read of their case, with whether it found nothing live."""
    sql = "SELECT position, type, convert_from(record, 'UTF8')::jsonb FROM events ORDER BY position"
    with psycopg2.connect(stage.copy.settings.events_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        rows = [(position, name, record) for position, name, record in cursor if subject in record["subject_ids"]]
    connection.close()
    [fence] = [position for position, name, _ in rows if name == "ErasureFenced"]
    reads = [(position, record["data"]) for position, name, record in rows if name == "AccessRecorded"]
    return fence, [(p, data["fields_opened"] == 0) for p, data in reads if data["resource"] == "case"]


@pytest.mark.parametrize("point", READ_POINTS)
def test_a_read_that_is_not_on_record_shows_tombstones(stage: Stage, point: str, tell: Tell) -> None:
    server = stage.add_stopping(*READ_POINTS[point])
    subject, case = stage.register()
    status, before = stage.call(server, MANAGER, "GET", f"/v1/cases/{case}")
    assert (status, stage.markers.run in json.dumps(before)) == (200, True), "the key cache is warm now"

    wake = stage.stopped_during(server, MANAGER, "GET", f"/v1/cases/{case}")
    certificate = stage.forget(subject)
    status, answer = wake()

    assert status == 200, answer
    assert stage.markers.run not in json.dumps(answer)
    assert {tombstone["certificate_id"] for tombstone in find_erased(answer)} == {certificate}
    shown = len(find_erased(answer))
    tell(f"stopped {point}: answered with {shown} tombstones and none of {len(stage.markers.made)} markers")
    fence, reads = fence_and_reads(stage, subject)
    assert [position for position, erased in reads if position > fence and not erased] == []
    assert_erased(stage, server, subject, case, certificate)


def test_a_read_that_is_on_record_before_the_fence_is_the_only_answer_that_carries_anything(
    stage: Stage, tell: Tell
) -> None:
    server = stage.add_stopping("application.reading:Reading.record", "after")
    subject, case = stage.register()

    wake = stage.stopped_during(server, MANAGER, "GET", f"/v1/cases/{case}")
    certificate = stage.forget(subject)
    status, answer = wake()

    assert (status, find_erased(answer)) == (200, [])
    fence, reads = fence_and_reads(stage, subject)
    _, last = [position for position, erased in reads if not erased]
    assert last < fence
    tell(f"stopped after its record: answered with the person, on record at {last}, fenced at {fence}")
    assert_erased(stage, server, subject, case, certificate)


@pytest.mark.parametrize("point", WRITE_POINTS)
def test_a_write_that_was_under_way_is_refused(stage: Stage, point: str, tell: Tell) -> None:
    server = stage.add_stopping(*WRITE_POINTS[point])
    subject, case = stage.register()
    path, body = f"/v1/subjects/{subject}/requests", {"right": "access", "channel": "web", "statement": "late"}

    wake = stage.stopped_during(server, RIGHTS_SERVICE, "POST", path, body)
    certificate = stage.forget(subject)
    status, answer = wake()

    tell(f"stopped {point}: answered {status} {answer['type'].rpartition(':')[2]}")
    assert (status, answer["type"]) == (410, "urn:casekeeper:problem:subject-erased")
    assert_erased(stage, server, subject, case, certificate)


def test_a_warm_key_cache_answers_nothing_of_the_forgotten(stage: Stage, tell: Tell) -> None:
    server = stage.copy.add("warm", "api")
    stage.copy.serve()
    subject, case = stage.register()
    _, answer = stage.call(server, MANAGER, "GET", f"/v1/cases/{case}")
    assert stage.markers.run in json.dumps(answer), "the key cache is warm now"

    send(server, signal.SIGSTOP)
    certificate = stage.forget(subject)
    send(server, signal.SIGCONT)

    assert_erased(stage, server, subject, case, certificate)
    tell("stopped between two calls with warm keys: the next read says erased, the next write is refused")
