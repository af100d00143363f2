"""The three databases: that they can be reached, take writes, have room and connections left, and one clock."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
from psycopg2.extensions import connection as Connection

from application.settings import Settings, variable
from cli.checks.finding import Finding
from postgres.opening import open_connection

OLDEST_POSTGRESQL = 150_000
MOST_DRIFT_SECONDS = 2.0
MOST_CONNECTIONS = 0.8
"""Share of ``max_connections`` from which on their use is worth a word."""
LEAST_ROOM = "16 MB"
EMBEDDED_CLUSTER = {"events_dsn": "pg-main", "views_dsn": "pg-main", "keys_dsn": "pg-keys"}
"""Setting of each database, and the embedded cluster that holds it."""

_REFUSALS = (
    (r"too many clients|remaining connection slots|too many connections", "connections exhausted",
     "end what holds them (pg_stat_activity says who), raise max_connections, or run fewer processes"),
    (r"password authentication failed|no password supplied", "password refused", "correct the password in {variable}"),
    (r"database \S+ does not exist", "no such database", "make it, or correct {variable}"),
    (r"starting up|not yet accepting|recovery", "starting, or recovering", "wait; its log says how far it is"),
    (r"shutting down", "shutting down", "wait, then start it again"),
    (r"pg_hba\.conf", "not let in", "let this machine and role in, in the server's pg_hba.conf"),
    (r"certificate|SSL|TLS", "TLS refused", "see certificates, and sslmode and sslrootcert in {variable}"),
)  # fmt: skip
"""What a server says when it refuses a connection, what that is, and what to do. No other text of it is shown."""

_ROOM = "CREATE TEMPORARY TABLE probe ON COMMIT DROP AS SELECT repeat('x', 1900) FROM generate_series(1, 8192)"
_CONNECTIONS = """
SELECT sum(numbackends)::int,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
FROM pg_stat_database
"""


def connect(dsn: str) -> Connection:
    """Connect for a look, in autocommit. Raises psycopg2's errors."""
    connection = open_connection(dsn, "casekeeper doctor", statement_timeout=5000, lock_timeout=2000)
    connection.autocommit = True
    return connection


def database(field: str) -> Callable[[Settings], Iterator[Finding]]:
    """Return the check of one database."""
    name = field.removesuffix("_dsn")

    def check(settings: Settings) -> Iterator[Finding]:
        dsn = getattr(settings, field)
        if not dsn:
            yield Finding(
                name, "warning", "not running", f"casekeeper up starts the embedded {EMBEDDED_CLUSTER[field]}"
            )
            return
        try:
            with closing(connect(dsn)) as connection:
                found = list(_looked_at(name, connection))
        except psycopg2.Error as error:
            yield _refused(name, field, error)
            return
        yield from found or [Finding(name, "ok", f"PostgreSQL {connection.server_version // 10000}")]

    return check


def clock(settings: Settings) -> Iterator[Finding]:
    """Compare this machine's clock with those of the databases: consents are valid until moments in time."""
    drifts = {field: drift for field in EMBEDDED_CLUSTER if (drift := _drift(getattr(settings, field))) is not None}
    if not drifts:
        yield Finding("clock", "warning", "nothing to compare it with", "it is compared with the databases'")
        return
    field, drift = max(drifts.items(), key=lambda item: abs(item[1]))
    shown = f"{abs(drift):.1f} s from the clock of {field.removesuffix('_dsn')}"
    if abs(drift) > MOST_DRIFT_SECONDS:
        yield Finding("clock", "failed", shown, "synchronise both machines (for instance with chrony)")
    else:
        yield Finding("clock", "ok", shown)


def _looked_at(name: str, connection: Connection) -> Iterator[Finding]:
    if connection.server_version < OLDEST_POSTGRESQL:
        shown = f"PostgreSQL {connection.server_version // 10000}"
        yield Finding(name, "failed", shown, "PostgreSQL 15 or later is needed")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
        standby, read_only = cursor.fetchone() or (False, False)
        if standby:
            yield Finding(name, "failed", "takes no writes: it is a standby", "connect to the primary, or promote it")
        elif read_only:
            advice = "set default_transaction_read_only off, for server, database and role"
            yield Finding(name, "failed", "takes no writes: it is read-only", advice)
        cursor.execute("SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'")
        for (setting,) in cursor.fetchall():
            yield Finding(name, "failed", f"{setting} is off", f"set {setting} on: a crash would lose what was durable")
        cursor.execute(_CONNECTIONS)
        used, most = cursor.fetchone() or (0, 1)
        if used >= MOST_CONNECTIONS * most:
            yield Finding(name, "warning", f"{used} of {most} connections in use", _REFUSALS[0][2])
    if not (standby or read_only):
        yield from _room(name, connection)


def _room(name: str, connection: Connection) -> Iterator[Finding]:
    """Write a little more than a segment of the write-ahead log into a table that goes away again."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            cursor.execute(_ROOM)
        except psycopg2.OperationalError as error:
            if error.pgcode != "53100":
                raise
            shown = f"disk full, or less than {LEAST_ROOM} left"
            yield Finding(name, "failed", shown, "make room on the volume of PostgreSQL's data and write-ahead log")
        finally:
            cursor.execute("ROLLBACK")


def _refused(name: str, field: str, error: psycopg2.Error) -> Finding:
    for pattern, found, advice in _REFUSALS:
        if re.search(pattern, str(error)):
            return Finding(name, "failed", found, advice.format(variable=variable(field)))
    shown = "cannot connect" if error.pgcode is None else f"refuses (SQLSTATE {error.pgcode})"
    advice = f"start it, or correct {variable(field)}; its log is logs/{EMBEDDED_CLUSTER[field]}.log if it is embedded"
    return Finding(name, "failed", shown, advice)


def _drift(dsn: str) -> float | None:
    if not dsn:
        return None
    try:
        with closing(connect(dsn)) as connection, connection.cursor() as cursor:
            before = time.time()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (theirs,) = cursor.fetchone() or (before,)
            return float(theirs) - (before + time.time()) / 2
    except psycopg2.Error:
        return None
