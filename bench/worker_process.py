"""A worker process as an operator starts it, with the keys cluster it needs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import psycopg2

import vault
from application.settings import Settings, variable
from bench.database import cluster
from consumers.worker import PARTS
from ops.roles import CLUSTERS, OWNER
from store.migrate import migrate

_START_SECONDS = 60.0
ALL = tuple(part for part in PARTS if part != "projections")
WITHOUT_KEYS = tuple(part for part in ALL if part != "search_index")
"""All parts but the search index: it opens what it takes in, and the workload's sealed parts are sealed by no key."""


@contextmanager
def keys(settings: Settings, folder: Path) -> Iterator[Settings]:
    """Give the settings with a keys cluster of their own, that ends with the block."""
    with cluster(folder, "pg-keys") as started:
        dsn = started.dsn(OWNER, CLUSTERS[started.name][0])
        migrate(dsn, Path(vault.__file__).parent / "migrations")
        yield replace(settings, keys_dsn=dsn, home=str(folder))


@contextmanager
def worker(settings: Settings, log: Path, parts: Sequence[str] = WITHOUT_KEYS) -> Iterator[subprocess.Popen[bytes]]:
    """Give a running worker process, its views made and the store open for writes; it is stopped by SIGTERM."""
    given = {variable(name): value for name, value in asdict(settings).items() if value}
    command = [sys.executable, "-c", "from cli.main import main; main()", "worker", "--only", ",".join(parts)]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, env={**os.environ, **given, variable("log_level"): "warning"}, stderr=written, stdout=written
        )
    try:
        _wait_until_at_work(settings, process, len(parts))
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_at_work(settings: Settings, process: subprocess.Popen[bytes], parts: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _parts_running(settings) >= parts:
            return
        time.sleep(0.2)
    raise RuntimeError("the worker did not come up: see its log")


def _parts_running(settings: Settings) -> int:
    """Return how many parts say that they run."""
    with closing(psycopg2.connect(settings.views_dsn)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute("SELECT count(*) FROM process_health WHERE state = 'running'")
        except psycopg2.errors.UndefinedTable:
            return 0
        row = cursor.fetchone()
        return int(row[0]) if row else 0
