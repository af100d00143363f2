"""Servers of a test session: real PostgreSQL (two clusters) and real Kafka, started once, ended by their own pids.

Set ``CASEKEEPER_EVENTS_DSN``, ``CASEKEEPER_KEYS_DSN`` or ``CASEKEEPER_KAFKA`` to use servers of your own, on this
machine: tests then make databases and topics for themselves there. When the session's process dies, even by SIGKILL,
the kernel ends the servers, see ``ops.processes.spawn``.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from ops.kafka.broker import Broker
from ops.postgres import Cluster
from ops.roles import CLUSTERS, OWNER, provision
from tests.keyrings import KIND
from tests.softhsm import SoftHsm

NewDatabase = Callable[..., str]


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds the session's servers and their logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def pg_main(servers_folder: Path) -> Iterator[str]:
    """Give the connection string of an owner who may create databases, on the main cluster."""
    yield from _cluster("CASEKEEPER_EVENTS_DSN", servers_folder / "pg-main")


@pytest.fixture(scope="session")
def pg_keys(servers_folder: Path) -> Iterator[str]:
    """Give the connection string of an owner who may create databases, on the keys cluster."""
    yield from _cluster("CASEKEEPER_KEYS_DSN", servers_folder / "pg-keys")


@pytest.fixture(scope="session")
def kafka_bootstrap(servers_folder: Path) -> Iterator[str]:
    """Give the bootstrap servers of a real Kafka."""
    if given := os.environ.get("CASEKEEPER_KAFKA"):
        yield given
        return
    broker = Broker(servers_folder / "kafka")
    broker.start(servers_folder / "kafka.log")
    try:
        broker.wait_ready()
        yield broker.address
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """Give SoftHSM2 with tokens of this session's own."""
    if shutil.which("softhsm2-util") is None:
        pytest.skip("needs softhsm2: see make test")
    started = SoftHsm(tmp_path_factory.mktemp("softhsm"))
    started.start()
    return started


@pytest.fixture(scope="session", autouse=True)
def keyrings(request: pytest.FixtureRequest) -> None:
    """Have what the session's keyrings are made on, see ``tests.keyrings``."""
    if KIND == "pkcs11":
        request.getfixturevalue("softhsm")


@pytest.fixture(scope="session")
def new_database() -> Iterator[NewDatabase]:
    """Give ``new_database(dsn, prefix="test")``: makes a database on that server, returns its connection string.

    What was made on a server of the user's is dropped when the session ends, connections to it cut; the session's own
    servers go with all they hold.
    """
    kept = {os.environ.get("CASEKEEPER_EVENTS_DSN"), os.environ.get("CASEKEEPER_KEYS_DSN")}
    made: list[tuple[str, str]] = []

    def make(dsn: str, prefix: str = "test") -> str:
        name = f"{prefix}_{secrets.token_hex(6)}"
        _run(dsn, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append((dsn, name))
        return make_dsn(dsn, dbname=name)

    yield make
    for dsn, name in reversed([(dsn, name) for dsn, name in made if dsn in kept]):
        _run(dsn, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _cluster(variable: str, folder: Path) -> Iterator[str]:
    if given := os.environ.get(variable):
        yield given
        return
    cluster = Cluster(folder)
    cluster.start(folder.with_suffix(".log"))
    try:
        cluster.wait_ready()
        provision(cluster)
        yield cluster.dsn(OWNER, CLUSTERS[folder.name][0])
    finally:
        cluster.stop()


def _run(dsn: str, statement: sql.Composed) -> None:
    connection = psycopg2.connect(dsn)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
