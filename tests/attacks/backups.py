"""Copies of a cluster that are made for good reasons and kept by somebody: base backups and a WAL archive."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """Keep every byte of WAL that a running cluster writes from now on (pg_receivewal)."""
    into.mkdir()
    before = _receivers(cluster)
    process = subprocess.Popen(
        [_program(cluster, "pg_receivewal"), *_login(cluster), "--directory", str(into), "--no-loop"],
        env=_environment(cluster),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _receivers(cluster) > before, 30, "the archive's connection")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def flush(cluster: Cluster) -> None:
    """Write everything the server has in memory to its files, and end the WAL segment, so that the archive has it."""
    connection = cluster.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
            cursor.execute("SELECT pg_switch_wal()")
    finally:
        connection.close()


def _receivers(cluster: Cluster) -> int:
    connection = cluster.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal'")
            return int(cursor.fetchone()[0])
    finally:
        connection.close()


def _program(cluster: Cluster, name: str) -> str:
    return str(programs(way_for(cluster.folder / "store")) / name)


def _login(cluster: Cluster) -> list[str]:
    port = (cluster.folder / "port").read_text().strip()
    return ["--host", "127.0.0.1", "--port", port, "--username", ADMINISTRATOR, "--no-password"]


def _environment(cluster: Cluster) -> dict[str, str]:
    return {**os.environ, "PGPASSWORD": cluster.password(ADMINISTRATOR)}
