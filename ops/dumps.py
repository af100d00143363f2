"""The events database dumped and put back with PostgreSQL's own programs: whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from ops.errors import LocalServerError
from ops.postgres import programs
from ops.unprivileged import way_for


def dump_database(dsn: str, file: Path) -> None:
    """Write a dump of a database, one moment of it, in PostgreSQL's custom format; nobody waits for it.

    Raises LocalServerError when there is no ``pg_dump`` for the server, or it fails: then the file is not whole.
    """
    program = _program("pg_dump", dsn)
    _run([program, "--format=custom", "--no-owner", "--no-acl", "--file", str(file)], dsn)


def restore_database(dsn: str, file: Path) -> None:
    """Put a dump into an empty database, in one transaction.

    Raises LocalServerError when there is no ``pg_restore`` for the server, or it fails: then nothing was put back.
    """
    program = _program("pg_restore", dsn)
    _run([program, "--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", str(file)], dsn)


def is_empty(dsn: str) -> bool:
    """Return whether a database has no table of its own. Raises LocalServerError when it cannot be reached."""
    connection = _connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')"
            )
            return bool((cursor.fetchone() or (False,))[0])
    finally:
        connection.close()


def _program(name: str, dsn: str) -> str:
    """Return the path of one of PostgreSQL's programs, not older than the server: this machine's, or the wheel's."""
    connection = _connect(dsn)
    wanted = connection.server_version // 10_000
    connection.close()
    if (own := shutil.which(name)) is not None and _major(own) >= wanted:
        return own
    wheels = programs(way_for(Path())) / name
    if _major(str(wheels)) >= wanted:
        return str(wheels)
    raise LocalServerError(f"no {name} for PostgreSQL {wanted}: install postgresql-client-{wanted}")


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)(?:\.\d+)*", said)
    return int(found[1]) if found else 0


def _run(command: list[str], dsn: str) -> None:
    """Run a program against a database; the password goes through the environment: all can read the arguments."""
    given = parse_dsn(dsn)
    secret = {"PGPASSWORD": given.pop("password")} if "password" in given else {}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **secret}
    # The program's own text may quote a row.
    done = subprocess.run(
        [command[0], "--dbname", make_dsn(**given), *command[1:]], env=environment, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise LocalServerError(f"{Path(command[0]).name} failed (status {done.returncode}): nothing was kept of it")


def _connect(dsn: str) -> psycopg2.extensions.connection:
    try:
        return psycopg2.connect(dsn, connect_timeout=5)
    except psycopg2.OperationalError:
        raise LocalServerError("a database cannot be reached: start it, or correct its connection string") from None
