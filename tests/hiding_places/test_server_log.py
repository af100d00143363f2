"""PostgreSQL's log quotes no statement, no parameter, no row, whatever goes wrong in a session of ours.

Each way to make it do so is tried on a real server; with the settings taken back the same ways are seen to leak.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from crashable_cluster import OwnCluster
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from application.settings import Settings
from cli.checks.server_logs import server_logs
from ops.roles import EVENTS, WORKER

LEFT_TO_POSTGRESQL = {
    "log_error_verbosity": "default",
    "log_min_error_statement": "error",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}
"""The settings of ours that protect, at PostgreSQL's defaults or more talkative."""


def refused(session: Connection, statement: str, *values: str) -> None:
    with session.cursor() as cursor, pytest.raises(psycopg2.Error):
        cursor.execute(statement, values)


def a_row_that_is_there_already(session: Connection, marker: str) -> None:
    with session.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE once (word text PRIMARY KEY)")
        cursor.execute("INSERT INTO once VALUES (%s)", (marker,))
    refused(session, "INSERT INTO once VALUES (%s)", marker)


def a_row_that_breaks_a_constraint(session: Connection, marker: str) -> None:
    with session.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE short (word text CHECK (length(word) < 3))")
    refused(session, "INSERT INTO short VALUES (%s)", marker)


def a_text_that_is_no_number(session: Connection, marker: str) -> None:
    refused(session, "SELECT %s::int", marker)


def a_statement_that_takes_too_long(session: Connection, marker: str) -> None:
    refused(session, "SET statement_timeout = '50ms'; SELECT pg_sleep(5), %s", marker)


def a_prepared_statement_with_parameters(session: Connection, marker: str) -> None:
    with session.cursor() as cursor:
        cursor.execute("PREPARE division (text, int) AS SELECT $1, 1 / $2")
    refused(session, "EXECUTE division (%s, 0)", marker)


def a_session_ended_by_an_administrator(session: Connection, marker: str) -> None:
    with session.cursor() as cursor:
        cursor.execute("SET application_name = 'to be ended'")
    ending = threading.Timer(0.3, os.kill, (session.info.backend_pid, signal.SIGTERM))
    ending.start()
    refused(session, "SELECT pg_sleep(5), %s", marker)
    ending.join()


def a_server_process_that_is_killed(session: Connection, marker: str) -> None:
    ending = threading.Timer(0.3, os.kill, (session.info.backend_pid, signal.SIGKILL))
    ending.start()
    refused(session, "SELECT pg_sleep(5), %s", marker)
    ending.join()


WAYS: list[Callable[[Connection, str], None]] = [
    a_row_that_is_there_already,
    a_row_that_breaks_a_constraint,
    a_text_that_is_no_number,
    a_statement_that_takes_too_long,
    a_prepared_statement_with_parameters,
    a_session_ended_by_an_administrator,
    a_server_process_that_is_killed,
]


def logged(own_cluster: OwnCluster, way: Callable[[Connection, str], None], marker: str) -> str:
    """Go this way as the worker would, and return what the server's log has more than before."""
    own_cluster.administrator().close()
    before = own_cluster.log.stat().st_size
    with closing(psycopg2.connect(own_cluster.cluster.dsn(WORKER, EVENTS))) as session:
        session.autocommit = True
        way(session, marker)
    own_cluster.administrator().close()
    with open(own_cluster.log, "rb") as log:
        log.seek(before)
        return log.read().decode()


@contextmanager
def unprotected(own_cluster: OwnCluster) -> Iterator[None]:
    """Take our settings back, for the server and the worker's role, and put them in force again."""
    with closing(own_cluster.administrator()) as administrator, administrator.cursor() as cursor:
        role = sql.Identifier(WORKER)
        for name, value in LEFT_TO_POSTGRESQL.items():
            cursor.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        cursor.execute(sql.SQL("ALTER ROLE {} RESET log_min_messages").format(role))
        cursor.execute("SELECT pg_reload_conf()")
        await_setting(own_cluster, "log_error_verbosity", "default")
    try:
        yield
    finally:
        with closing(own_cluster.administrator()) as administrator, administrator.cursor() as cursor:
            cursor.execute("ALTER SYSTEM RESET ALL")
            cursor.execute(sql.SQL("ALTER ROLE {} SET log_min_messages = 'log'").format(role))
            cursor.execute("SELECT pg_reload_conf()")
        await_setting(own_cluster, "log_error_verbosity", "terse")


def await_setting(own_cluster: OwnCluster, name: str, wanted: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with closing(own_cluster.administrator()) as fresh, fresh.cursor() as cursor:
            cursor.execute(f"SHOW {name}")
            if cursor.fetchone() == (wanted,):
                return
        time.sleep(0.05)
    raise AssertionError(f"{name} is not {wanted}")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_way_to_fail_puts_what_was_sent_into_the_servers_log(
    own_cluster: OwnCluster, marker: str, way: Callable[[Connection, str], None]
) -> None:
    assert marker not in logged(own_cluster, way, marker)


def test_without_our_settings_each_of_these_ways_does(own_cluster: OwnCluster, marker: str) -> None:
    with unprotected(own_cluster):
        silent = [way.__name__ for way in WAYS if marker not in logged(own_cluster, way, marker)]

    assert silent == []


def test_doctor_says_which_settings_of_a_server_of_ones_own_would_tell(own_cluster: OwnCluster) -> None:
    settings = Settings(events_dsn=own_cluster.cluster.dsn(WORKER, EVENTS))
    well = list(server_logs(settings))
    with unprotected(own_cluster):
        [told] = server_logs(settings)

    assert [(one.state, one.found) for one in well] == [("ok", "no statements, parameters, rows or values")]
    assert told.state == "warning"
    assert told.found == (
        "events: would hold what is sent: log_error_verbosity, log_min_error_statement, log_min_messages, "
        "log_parameter_max_length_on_error"
    )
    assert "ALTER SYSTEM SET log_error_verbosity = 'terse'" in told.advice
    assert f"ALTER ROLE {WORKER} SET log_min_messages = 'log'" in told.advice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_statement", "mod"),
        ("log_min_duration_statement", "250ms"),
        ("log_min_duration_sample", "250ms"),
        ("log_transaction_sample_rate", "0.01"),
        ("debug_print_plan", "on"),
    ],
)
def test_doctor_sees_each_setting_that_logs_statements(own_cluster: OwnCluster, name: str, value: str) -> None:
    with closing(own_cluster.administrator()) as administrator, administrator.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(
            sql.Identifier(WORKER), sql.Identifier(name), sql.Literal(value)))  # fmt: skip
        try:
            [told] = server_logs(Settings(events_dsn=own_cluster.cluster.dsn(WORKER, EVENTS)))
        finally:
            cursor.execute(sql.SQL("ALTER ROLE {} RESET {}").format(sql.Identifier(WORKER), sql.Identifier(name)))

    assert (told.state, told.found) == ("warning", f"events: would hold what is sent: {name}")
    assert f"SET {name} = " in told.advice


def test_doctor_wants_terse_errors_of_the_whole_server_and_not_of_a_role(own_cluster: OwnCluster) -> None:
    """The line about a process that crashed is the server's own, and quotes its statement."""
    with closing(own_cluster.administrator()) as administrator, administrator.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} SET log_error_verbosity = 'terse'").format(sql.Identifier(WORKER)))
        try:
            [told] = server_logs(Settings(events_dsn=own_cluster.cluster.dsn(WORKER, EVENTS)))
        finally:
            cursor.execute(sql.SQL("ALTER ROLE {} RESET log_error_verbosity").format(sql.Identifier(WORKER)))

    assert told.found == "events: would hold what is sent: log_error_verbosity"


def test_a_server_that_is_away_is_another_checks_finding() -> None:
    assert list(server_logs(Settings(events_dsn="host=127.0.0.1 port=1 dbname=none"))) == []
