"""The logs of the database servers: that they hold no statements, parameters, rows or values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
from psycopg2.extensions import connection as Connection

from application.settings import Settings
from cli.checks.databases import EMBEDDED_CLUSTER, connect
from cli.checks.finding import Finding

_OF_ROLE = frozenset({"database", "user", "database user"})
"""Where a setting comes from that other sessions and the server's own processes do not have."""
_DEBUG = ("debug_print_parse", "debug_print_rewritten", "debug_print_plan")
_SHOWN = """
SELECT name, setting, source FROM pg_settings
WHERE name LIKE 'log\\_%' OR name LIKE 'debug\\_print\\_%' OR name IN ('auto_explain.log_min_duration', 'pgaudit.log')
"""
"""As they are in force for the role and database of this session. PostgreSQL 18, chapter 19.8."""


def server_logs(settings: Settings) -> Iterator[Finding]:
    """Look whether the servers would log what is sent to them: statements hold the values of rows, though sealed."""
    found = [finding for field in EMBEDDED_CLUSTER for finding in _of(field, getattr(settings, field))]
    if found and all(finding.state == "ok" for finding in found):
        yield Finding("server logs", "ok", "no statements, parameters, rows or values")
    else:
        yield from (finding for finding in found if finding.state != "ok")


def _of(field: str, dsn: str) -> Iterator[Finding]:
    """Yield what is wrong with one database's settings, one that is well if nothing is, none if it cannot be asked."""
    if not dsn:
        return
    try:
        with closing(connect(dsn)) as connection:
            wanted = telling(connection)
            role = connection.info.user
    except psycopg2.Error:
        # That it is away is told by the check of that database.
        return
    if not wanted:
        yield Finding("server logs", "ok", "")
        return
    shown = f"{field.removesuffix('_dsn')}: would hold what is sent: {', '.join(sorted(wanted))}"
    changes = [_change(name, value, role) for name, value in sorted(wanted.items())]
    yield Finding("server logs", "warning", shown, f"as its superuser: {'; '.join(changes)}; SELECT pg_reload_conf()")


def _change(name: str, value: str, role: str) -> str:
    # What the server says of itself, also when it warns, is to be logged as before.
    whose = f"ROLE {role}" if name == "log_min_messages" else "SYSTEM"
    return f"ALTER {whose} SET {name} = '{value}'"


def telling(connection: Connection) -> dict[str, str]:
    """Return the settings by which the server would log what this session sends, each with the value to give it."""
    with connection.cursor() as cursor:
        cursor.execute(_SHOWN)
        rows = cursor.fetchall()
    at = {name: setting for name, setting, _ in rows}
    of_role = {name for name, _, source in rows if source in _OF_ROLE}
    wanted = {
        "log_statement": ("none", at["log_statement"] != "none"),
        "log_min_error_statement": ("panic", at["log_min_error_statement"] != "panic"),
        # The server itself quotes the statement at which a process of its crashed: a role's own setting is not enough.
        "log_error_verbosity": ("terse", at["log_error_verbosity"] != "terse" or "log_error_verbosity" in of_role),
        "log_min_messages": ("log", at["log_min_messages"] not in ("log", "fatal", "panic")),
        "log_parameter_max_length_on_error": ("0", at["log_parameter_max_length_on_error"] != "0"),
        "log_min_duration_statement": ("-1", at["log_min_duration_statement"] != "-1"),
        "log_min_duration_sample": ("-1", at["log_min_duration_sample"] != "-1"),
        "log_transaction_sample_rate": ("0", float(at["log_transaction_sample_rate"]) > 0),
        "auto_explain.log_min_duration": ("-1", at.get("auto_explain.log_min_duration", "-1") != "-1"),
        "pgaudit.log": ("none", at.get("pgaudit.log", "none") != "none"),
        **{name: ("off", at[name] == "on") for name in _DEBUG},
    }
    return {name: value for name, (value, tells) in wanted.items() if tells}
