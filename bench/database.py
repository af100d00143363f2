"""A PostgreSQL cluster of the benchmark's own, durable like the real one, with the events database in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2

from ops.postgres import Cluster
from ops.roles import CLUSTERS, OWNER, provision
from store.log import EventLog
from store.migrate import migrate


@contextmanager
def cluster(folder: Path, name: str = "pg-main") -> Iterator[Cluster]:
    """Give a running cluster with its roles and databases; it is stopped afterwards."""
    started = Cluster(folder / name)
    started.start(folder / f"{name}.log")
    try:
        started.wait_ready()
        provision(started)
        yield started
    finally:
        started.stop()


@contextmanager
def events_database(folder: Path) -> Iterator[str]:
    """Give the connection string of a migrated events database that admits writes."""
    with cluster(folder) as started:
        dsn = started.dsn(OWNER, CLUSTERS[started.name][0])
        migrate(dsn)
        with EventLog(dsn) as log:
            log.admit_writes(log.admission().incarnation, 0)
        yield dsn


def as_owner(dsn: str, statement: str) -> None:
    """Run one statement and commit it."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
