"""Copies of a cluster that are made for good reasons and kept by somebody: base backups and a WAL archive."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from ops.postgres import ADMINISTRATOR, Cluster, programs
from ops.unprivileged import way_for
from tests.waiting import until


def take_base_backup(cluster: Cluster, into: Path) -> None:
    """Copy the whole running cluster into a folder, with the WAL that belongs to it (pg_basebackup)."""
    subprocess.run(
        [_program(cluster, "pg_basebackup"), *_login(cluster), "--pgdata", str(into), "--checkpoint", "fast"],
        env=_environment(cluster),
        check=True,
        capture_output=True,
    )


@contextmanager
def archived(cluster: Cluster, into: Path) -> Iterator[None]:
    """Keep every byte of WAL that a running cluster writes from now on (pg_receivewal, with a slot: it misses none)."""
    into.mkdir()
    slot = f"archive_{secrets.token_hex(8)}"
    receive = [_program(cluster, "pg_receivewal"), *_login(cluster), "--directory", str(into), "--slot", slot]
    subprocess.run([*receive, "--create-slot"], env=_environment(cluster), check=True, capture_output=True)
    process = subprocess.Popen([*receive, "--no-loop", "--synchronous"], env=_environment(cluster))
    try:
        until(lambda: _receiving(cluster, slot), 60, "the archive's connection")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        subprocess.run([*receive, "--drop-slot"], env=_environment(cluster), check=True, capture_output=True)


def flush(cluster: Cluster) -> None:
    """Write everything an archived server has in memory to its files, and return when the archive has it too."""
    connection = cluster.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
            cursor.execute("SELECT pg_switch_wal()")
            end = cursor.fetchone()[0]
            until(lambda: _archived_up_to(cursor, end), 60, "the archive")
    finally:
        connection.close()


def _receiving(cluster: Cluster, slot: str) -> bool:
    connection = cluster.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (slot,))
            return bool(cursor.fetchone()[0])
    finally:
        connection.close()


def _archived_up_to(cursor: Cursor, end: str) -> bool:
    cursor.execute(
        "SELECT bool_and(flush_lsn >= %s::pg_lsn) FROM pg_stat_replication WHERE application_name = 'pg_receivewal'",
        (end,),
    )
    return bool(cursor.fetchone()[0])


def _program(cluster: Cluster, name: str) -> str:
    return str(programs(way_for(cluster.folder / "store")) / name)


def _login(cluster: Cluster) -> list[str]:
    port = (cluster.folder / "port").read_text().strip()
    return ["--host", "127.0.0.1", "--port", port, "--username", ADMINISTRATOR, "--no-password"]


def _environment(cluster: Cluster) -> dict[str, str]:
    return {**os.environ, "PGPASSWORD": cluster.password(ADMINISTRATOR)}
