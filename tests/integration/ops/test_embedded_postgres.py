"""An embedded cluster keeps what was committed, whatever happens to its server, and lets nobody in unproven."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from ops.postgres import Cluster
from ops.roles import EVENTS, OWNER, provision
from ops.unprivileged import Unprivileged, by_account, unprivileged


class Home:
    """A folder with one cluster that is started and stopped again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pg-main"
        self.log = folder / "pg-main.log"
        self.clusters: list[Cluster] = []

    def start(self, way: Unprivileged | None = None) -> Cluster:
        cluster = Cluster(self.folder, way)
        self.clusters.append(cluster)
        cluster.start(self.log)
        cluster.wait_ready()
        provision(cluster)
        return cluster


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    for cluster in made.clusters:
        cluster.stop()


def commit_row(cluster: Cluster) -> None:
    with psycopg2.connect(cluster.dsn(OWNER, EVENTS)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (word text)")
        cursor.execute("INSERT INTO kept VALUES ('still here')")
    connection.close()


def committed_rows(cluster: Cluster) -> list[tuple[str]]:
    connection = psycopg2.connect(cluster.dsn(OWNER, EVENTS))
    with connection.cursor() as cursor:
        cursor.execute("SELECT word FROM kept")
        rows = cursor.fetchall()
    connection.close()
    return rows


def server_pid(cluster: Cluster) -> int:
    return int((cluster.folder / "store" / "data" / "postmaster.pid").read_text().splitlines()[0])


def test_data_and_port_are_kept_between_runs(home: Home) -> None:
    first = home.start()
    commit_row(first)
    address = first.dsn(OWNER, EVENTS)
    first.stop()

    again = home.start()

    assert committed_rows(again) == [("still here",)]
    assert again.dsn(OWNER, EVENTS) == address


def test_a_server_killed_with_sigkill_recovers_and_keeps_what_was_committed(home: Home) -> None:
    first = home.start()
    commit_row(first)
    os.kill(server_pid(first), signal.SIGKILL)
    first.stop()
    assert (home.folder / "store" / "data" / "postmaster.pid").exists()

    again = home.start()

    assert committed_rows(again) == [("still here",)]


def test_backends_that_outlive_a_killed_server_do_not_stop_the_next_start(home: Home) -> None:
    first = home.start()
    commit_row(first)
    connection = first.connect(EVENTS)
    backend = connection.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    os.kill(server_pid(first), signal.SIGKILL)
    first.stop()
    continued = threading.Timer(1.0, os.kill, (backend, signal.SIGCONT))
    continued.start()

    again = home.start()

    assert committed_rows(again) == [("still here",)]
    continued.join()
    connection.close()


def test_a_stale_pid_file_that_names_a_stranger_neither_stops_the_start_nor_the_stranger(home: Home) -> None:
    first = home.start()
    commit_row(first)
    os.kill(server_pid(first), signal.SIGKILL)
    first.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file = home.folder / "store" / "data" / "postmaster.pid"
        pid_file.write_text("\n".join([str(stranger.pid), *pid_file.read_text().splitlines()[1:]]))

        again = home.start()

        assert committed_rows(again) == [("still here",)]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_that_an_earlier_run_left_running_is_ended_before_another_starts(home: Home) -> None:
    left = home.start()
    commit_row(left)
    left_pid = server_pid(left)

    again = home.start()

    assert server_pid(again) != left_pid
    assert left._process is not None
    assert left._process.wait(10) == 0
    assert committed_rows(again) == [("still here",)]


def test_an_initdb_that_was_killed_half_way_is_done_again(home: Home) -> None:
    draft = home.folder / "store" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")

    cluster = home.start()

    assert not draft.exists()
    commit_row(cluster)
    assert committed_rows(cluster) == [("still here",)]


def test_nobody_is_let_in_without_the_password(home: Home) -> None:
    cluster = home.start()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(make_dsn(cluster.dsn(OWNER, EVENTS), password="guess"))

    data = home.folder / "store" / "data"
    rules = [line.split() for line in (data / "pg_hba.conf").read_text().splitlines() if line and line[0] != "#"]
    assert rules
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
    verifiers = subprocess.run(["grep", "-r", cluster.password(OWNER), str(data)], capture_output=True, check=False)
    assert verifiers.returncode == 1, "the password itself is in the data folder"


def test_the_server_is_durable_and_its_log_quotes_no_values(home: Home) -> None:
    cluster = home.start()
    connection = cluster.connect(EVENTS)
    shown = {}
    with connection.cursor() as cursor:
        names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "listen_addresses")
        for name in (*names, "log_error_verbosity", "log_min_error_statement", "unix_socket_directories"):
            cursor.execute(f"SHOW {name}")
            (shown[name],) = cursor.fetchone() or ("",)
        cursor.execute("CREATE TABLE once (word text PRIMARY KEY)")
        cursor.execute("INSERT INTO once VALUES ('marker-5c1e')")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute("INSERT INTO once VALUES ('marker-5c1e')")
    connection.close()

    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "127.0.0.1",
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "unix_socket_directories": "",
    }
    assert "duplicate key" in home.log.read_text()
    assert "marker-5c1e" not in home.log.read_text()


def test_passwords_are_readable_by_their_owner_only(home: Home) -> None:
    cluster = home.start()

    secrets = sorted((home.folder / "secrets").iterdir())

    assert [file.name for file in secrets] == [
        "casekeeper_admin",
        "casekeeper_api",
        "casekeeper_owner",
        "casekeeper_worker",
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    assert stat.S_IMODE(cluster.folder.stat().st_mode) == 0o700
    assert len({file.read_text() for file in secrets}) == 4


def test_where_namespaces_are_not_allowed_root_runs_it_through_an_account(home: Home) -> None:
    if os.geteuid() != 0:
        assert unprivileged() == Unprivileged(), "who is not root needs nothing"
        return
    way = by_account()
    assert way.account is not None
    first = home.start(way)
    try:
        commit_row(first)
        assert os.stat(f"/proc/{server_pid(first)}").st_uid == way.account.pw_uid
        first.stop()

        assert committed_rows(home.start()) == [("still here",)]
    finally:
        home.clusters[-1].stop()
        shutil.rmtree((home.folder / "store").resolve())
