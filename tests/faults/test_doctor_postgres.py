"""Doctor, asked while PostgreSQL is broken under the genuine processes, each time in a real way."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress

import psycopg2
import pytest
from doctor_asked import Said, ask
from mount_namespace import possible
from postgres_small_disk import SmallDiskServer
from postgres_stage import Stage

from cli.checks.finding import Finding
from ops.processes import end_child
from ops.roles import API, OWNER, WORKER
from tests.waiting import until

pytestmark = pytest.mark.faults

PATIENCE = 150.0
"""Seconds for what a busy machine does at last."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Stage]:
    """A service that has worked; each test leaves its servers as it found them."""
    home = tmp_path_factory.mktemp("doctor") / "home"
    home.mkdir()
    given = {"events": SmallDiskServer(home, "events")} if possible() else {}
    made = Stage(home, kafka_bootstrap, **given)
    try:
        made.start()
        until(lambda: doctor(made).status == 0, PATIENCE, "all well")
        yield made
    finally:
        made.stop()


def doctor(stage: Stage, **changed: str) -> Said:
    said = ask({**stage.environment(WORKER), **changed})
    for server in stage.servers.values():
        assert psycopg2.extensions.parse_dsn(server.dsn(WORKER))["password"] not in said.text
    return said


def test_all_is_well_and_nothing_is_said(stage: Stage) -> None:
    said = doctor(stage)

    # Whether swap is encrypted is the machine's own affair, and which other variables there are the shell's.
    assert (said.wrong.keys() - {"swap", "variables"}, said.status) == (set(), 0)


@pytest.mark.parametrize("store", ["events", "views", "keys"])
def test_a_server_that_is_down_is_named(stage: Stage, store: str) -> None:
    stage.servers[store].stop()
    try:
        said = doctor(stage)
    finally:
        stage.servers[store].start()

    assert said.status == 1
    assert said.says(store, "cannot connect")
    assert {name for name in ("events", "views", "keys") if name in said.wrong} == {store}


def test_a_database_that_is_read_only_is_named(stage: Stage) -> None:
    server = stage.servers["views"]
    server.run("ALTER SYSTEM SET default_transaction_read_only = on")
    server.run("SELECT pg_reload_conf()")
    try:
        until(lambda: doctor(stage).says("views", "read-only"), 20)
    finally:
        connection = server.administrator()
        for statement in (
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        ):
            connection.cursor().execute(statement)
        connection.close()
    until(lambda: "views" not in doctor(stage).wrong, 20)


@pytest.mark.skipif(not possible(), reason="needs a mount namespace")
def test_a_full_disk_is_named(stage: Stage) -> None:
    server = stage.servers["events"]
    assert isinstance(server, SmallDiskServer)
    server.fill()
    try:
        said = doctor(stage)
    finally:
        server.empty()
        if ended := server.ended():
            server.start()

    # A server that can write no log any more may end itself: then nobody can say why but its own log.
    assert said.says("events", "disk full") or (ended and said.says("events", "cannot connect"))
    until(lambda: "events" not in doctor(stage).wrong, 30)


def test_connections_that_run_out_are_told_before_and_when_they_have(stage: Stage) -> None:
    dsn = stage.servers["keys"].dsn(OWNER)
    held = [psycopg2.connect(dsn) for _ in range(160)]
    try:
        near = doctor(stage)
        with suppress(psycopg2.OperationalError):
            while True:
                held.append(psycopg2.connect(dsn))
        out = doctor(stage)
    finally:
        for connection in held:
            connection.close()

    assert near.says("keys", "connections in use", "warning")
    assert out.says("keys", "connections exhausted")
    until(lambda: "keys" not in doctor(stage).wrong, 20)


def test_a_wrong_password_and_a_wrong_database_are_told_apart(stage: Stage) -> None:
    dsn = psycopg2.extensions.parse_dsn(stage.servers["events"].dsn(WORKER))
    make = psycopg2.extensions.make_dsn
    wrong = doctor(stage, CASEKEEPER_EVENTS_DSN=make(**{**dsn, "password": "Zq7Marker"}))
    other = doctor(stage, CASEKEEPER_EVENTS_DSN=make(**{**dsn, "dbname": "elsewhere"}))

    assert wrong.says("events", "password refused")
    assert "Zq7Marker" not in wrong.text
    assert other.says("events", "no such database")


def test_a_clock_that_differs_is_named(stage: Stage) -> None:
    """The server's clock as this connection sees it is ten minutes ahead: the machine's own cannot be changed here."""
    server = stage.servers["views"]
    server.run("CREATE SCHEMA ahead")
    server.run(
        "CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
        "$$ SELECT pg_catalog.clock_timestamp() + interval '10 minutes' $$"
    )
    server.run(f"GRANT USAGE ON SCHEMA ahead TO {WORKER}")
    dsn = psycopg2.extensions.make_dsn(server.dsn(WORKER), options="-csearch_path=ahead,public,pg_catalog")
    said = doctor(stage, CASEKEEPER_VIEWS_DSN=dsn)

    assert said.says("clock", "599.") or said.says("clock", "600.")
    assert said.says("clock", "clock of views")


def test_a_store_that_takes_no_writes_yet_is_named(stage: Stage) -> None:
    worker = stage._processes.pop("worker")
    end_child(worker)
    stage.servers["events"].stop()
    stage.servers["events"].start()
    try:
        said = doctor(stage)
    finally:
        stage._processes["worker"] = stage._spawn("worker", WORKER)

    assert said.says("writes", "not admitted")
    assert said.says("workers", "nobody runs any part")
    assert said.status == 1
    until(lambda: doctor(stage).status == 0, PATIENCE, "all well again")


def test_a_view_that_does_not_move_is_stuck_and_its_part_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from application.settings import Settings
    from cli.checks import findings
    from projections import view_health

    monkeypatch.setattr(view_health, "STUCK_SECONDS", 4)
    settings = Settings.load({**stage.environment(WORKER)})
    blocking = stage.servers["views"].administrator()
    blocking.autocommit = False
    try:
        blocking.cursor().execute("LOCK TABLE view_people IN ACCESS EXCLUSIVE MODE")
        _register(stage)
        found = until(lambda: _stuck(findings(settings), "people"), 90, "doctor naming the stuck view")
    finally:
        blocking.rollback()
        blocking.close()

    assert [one.state for one in found] == ["failed"]
    assert "casekeeper rebuild people" in found[0].advice
    until(lambda: doctor(stage).status == 0, PATIENCE, "all well again")


def test_a_worker_that_was_killed_leaves_parts_that_nobody_runs(stage: Stage) -> None:
    worker = stage._processes.pop("worker")
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    try:
        until(lambda: doctor(stage).says("workers", "nobody runs any part"), 90, "doctor naming the workers")
    finally:
        stage._processes["worker"] = stage._spawn("worker", WORKER)
    until(lambda: doctor(stage).status == 0, PATIENCE, "all well again")


def _stuck(found: Iterable[Finding], view: str) -> list[Finding]:
    """Return what is said of one view that is stuck; on a busy machine others may be late as well."""
    return [one for one in found if one.name == "projections" and one.found.startswith(f"{view} is stuck:")]


def _register(stage: Stage) -> None:
    _register_in(stage.environment(API))


def _register_in(environment: dict[str, str]) -> None:
    """Register a person through the service itself."""
    from uuid import uuid4

    from application.caller import Caller
    from application.examples import BODIES
    from application.settings import Settings
    from application.wiring import build_service

    service = build_service(Settings.load(environment))
    caller = Caller("test", "web-forms", frozenset({"service"}), "intake", "api", uuid4())
    service.execute("register_subject", caller, {}, BODIES["register_subject"], None)
    service.log.close()
    service.vault.close()
