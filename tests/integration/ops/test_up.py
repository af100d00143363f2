"""``casekeeper up`` as a user meets it: ready, restarted, refused twice, gone without a trace, and back again."""

from __future__ import annotations

import os
import signal
import stat

import psycopg2
import pytest

from application.settings import RUNTIME_FILE
from tests.waiting import until

SERVERS = ["pg-main", "pg-keys", "kafka"]
SERVICE = ["api", "worker"]


def pid_of(copy, name):
    return next(process.pid for process in copy.runtime().processes if process.name == name)


def leave_a_mark(copy) -> None:
    with psycopg2.connect(copy.runtime().environment["CASEKEEPER_VIEWS_DSN"]) as connection:
        connection.cursor().execute("CREATE TABLE mark (word text)")
        connection.cursor().execute("INSERT INTO mark VALUES ('left in the first run')")
    connection.close()


def mark_of(copy) -> list[tuple[str]]:
    connection = psycopg2.connect(copy.runtime().environment["CASEKEEPER_VIEWS_DSN"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT word FROM mark")
        rows = cursor.fetchall()
    connection.close()
    return rows


def test_up_is_ready_refuses_a_second_heals_itself_and_ctrl_c_leaves_nothing(new_copy) -> None:
    copy = new_copy()
    copy.start()

    status = copy.status()
    assert status["ready"] is True
    assert status["url"].startswith("http://127.0.0.1:")
    names = [process["name"] for process in status["processes"] if process["state"] == "running"]
    assert names == SERVERS + SERVICE
    assert stat.S_IMODE((copy.home / RUNTIME_FILE).stat().st_mode) == 0o600

    refused = copy.casekeeper("up")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [f"Error: already running in {copy.home} (pid {copy.process.pid})"]

    for name in (*SERVICE, "pg-main"):
        killed = pid_of(copy, name)
        os.kill(killed, signal.SIGKILL)
        until(lambda name=name, killed=killed: pid_of(copy, name) != killed)
    until(lambda: copy.status()["ready"], 60)

    leave_a_mark(copy)
    identities = [process.identity for process in copy.runtime().processes]
    assert copy.stop(signal.SIGINT) == 0
    assert [identity for identity in identities if identity is not None and identity.is_running()] == []
    assert copy.processes_of_home() == []

    copy.start()
    assert mark_of(copy) == [("left in the first run",)]
    assert copy.stop(signal.SIGTERM) == 0
    assert copy.processes_of_home() == []


@pytest.mark.faults
def test_after_a_sigkill_the_next_up_ends_what_was_left_and_carries_on(new_copy) -> None:
    copy = new_copy()
    copy.start()
    leave_a_mark(copy)
    left = {process.name: process.identity for process in copy.runtime().processes}
    # Stopped processes cannot follow the signal they get when their parent dies: they stay until somebody ends them.
    os.kill(left["worker"].pid, signal.SIGSTOP)
    os.kill(left["pg-main"].pid, signal.SIGSTOP)
    copy.process.kill()
    copy.process.wait()
    assert left["worker"].is_running()
    assert left["pg-main"].is_running()

    copy.start()

    assert not left["worker"].is_running()
    assert not left["pg-main"].is_running()
    told = next(
        line for line in copy.output.read_text().splitlines() if line.startswith("ended what an earlier run left")
    )
    assert {"worker", "pg-main"} <= set(told.partition(": ")[2].split(", "))
    assert mark_of(copy) == [("left in the first run",)]
    assert copy.stop() == 0
    assert copy.processes_of_home() == []


@pytest.mark.faults
def test_a_sigkill_alone_leaves_no_orphan(new_copy) -> None:
    copy = new_copy()
    copy.start()
    copy.process.kill()
    copy.process.wait()

    assert until(lambda: copy.processes_of_home() == [], 30)


@pytest.mark.faults
def test_two_homes_run_side_by_side(new_copy) -> None:
    one, other = new_copy("one"), new_copy("other")
    one.start()
    other.start()
    first, second = one.status(), other.status()

    assert first["ready"] is True
    assert second["ready"] is True
    assert first["url"] != second["url"]
    assert first["kafka"] != second["kafka"]
    leave_a_mark(one)
    with pytest.raises(psycopg2.errors.UndefinedTable):
        mark_of(other)

    assert one.stop() == 0
    assert one.processes_of_home() == []
    assert other.status()["ready"] is True
    assert other.stop() == 0


@pytest.mark.faults
def test_ctrl_c_while_starting_leaves_nothing(new_copy) -> None:
    copy = new_copy()
    process = copy.launch()
    until(lambda: (copy.home / "pg-main" / "port").exists())

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0, copy.output.read_text()
    assert copy.processes_of_home() == []


@pytest.mark.faults
def test_a_migration_that_fails_stops_everything_with_one_line(new_copy) -> None:
    copy = new_copy()
    copy.start()
    with psycopg2.connect(copy.owner_dsn()) as connection:
        connection.cursor().execute("UPDATE schema_migrations SET sha256 = 'changed' WHERE number = 1")
    connection.close()
    assert copy.stop() == 0

    process = copy.launch()

    assert process.wait(60) == 1
    assert copy.output.read_text().splitlines()[-1] == (
        f"Error: migrations failed, see {copy.home / 'logs' / 'migrate.log'}"
    )
    assert copy.processes_of_home() == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"CASEKEEPER_PORT": "http"}, "CASEKEEPER_PORT must be a number from 1 to 65535"),
        ({"CASEKEEPER_API_PROCESSES": "0"}, "CASEKEEPER_API_PROCESSES must be a number from 1 to 256"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_nothing_is_left_running(new_copy, given, said) -> None:
    copy = new_copy()
    copy.given = given | {"CASEKEEPER_KAFKA": "127.0.0.1:1"}

    process = copy.launch()

    assert process.wait(60) == 1
    assert copy.output.read_text().splitlines()[-1] == f"Error: {said}"
    assert copy.processes_of_home() == []
