"""What each kind of process may do in the databases, tried for real as that process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from ops.grants import grant
from ops.postgres import Cluster
from ops.roles import API, EVENTS, KEYS, OWNER, VIEWS, WORKER, provision
from store.migrate import migrate
from vault.vault import MIGRATIONS


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cluster]]:
    folder: Path = tmp_path_factory.mktemp("granted")
    main, keys = Cluster(folder / "pg-main"), Cluster(folder / "pg-keys")
    try:
        for cluster in (main, keys):
            cluster.start(folder / f"{cluster.name}.log")
        for cluster in (main, keys):
            cluster.wait_ready()
            provision(cluster)
        migrate(main.dsn(OWNER, EVENTS))
        migrate(keys.dsn(OWNER, KEYS), MIGRATIONS)
        assert grant(main.dsn(OWNER, EVENTS), "events") == [API, WORKER]
        assert grant(keys.dsn(OWNER, KEYS), "keys") == [API, WORKER]
        yield {EVENTS: main, VIEWS: main, KEYS: keys}
    finally:
        main.stop()
        keys.stop()


def run(clusters: dict[str, Cluster], role: str, database: str, statement: str) -> None:
    connection = psycopg2.connect(clusters[database].dsn(role, database))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def tables(clusters: dict[str, Cluster], database: str) -> list[str]:
    connection = clusters[database].connect(database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in cursor.fetchall()]
    connection.close()
    return names


@pytest.mark.parametrize("role", [API, WORKER])
@pytest.mark.parametrize("table", ["events", "fences", "log_head", "schema_migrations"])
def test_the_log_is_read_but_not_written_directly(clusters: dict[str, Cluster], role: str, table: str) -> None:
    run(clusters, role, EVENTS, f"SELECT * FROM {table}")
    for statement in (
        f"INSERT INTO {table} DEFAULT VALUES",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
    ):
        with pytest.raises(InsufficientPrivilege):
            run(clusters, role, EVENTS, statement)


@pytest.mark.parametrize("role", [API, WORKER])
def test_no_service_takes_remembered_outcomes_away(clusters: dict[str, Cluster], role: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        run(clusters, role, EVENTS, "DELETE FROM idempotency")


def test_only_the_worker_opens_the_log_for_writing(clusters: dict[str, Cluster]) -> None:
    run(clusters, WORKER, EVENTS, "SELECT admit_writes(log_incarnation(), 0)")

    with pytest.raises(InsufficientPrivilege):
        run(clusters, API, EVENTS, "SELECT admit_writes(log_incarnation(), 0)")


def test_the_worker_makes_views_that_the_api_only_reads(clusters: dict[str, Cluster]) -> None:
    run(clusters, WORKER, VIEWS, "CREATE TABLE worklist (id int); INSERT INTO worklist VALUES (1)")

    run(clusters, API, VIEWS, "SELECT * FROM worklist")
    for statement in ("INSERT INTO worklist VALUES (2)", "DELETE FROM worklist", "CREATE TABLE mine (id int)"):
        with pytest.raises(InsufficientPrivilege):
            run(clusters, API, VIEWS, statement)


def test_keys_are_deleted_by_the_worker_only_and_no_service_changes_their_tables(clusters: dict[str, Cluster]) -> None:
    names = tables(clusters, KEYS)
    assert {"key_node", "key_change"} <= set(names)
    run(clusters, API, KEYS, "DELETE FROM key_change")
    for name in set(names) - {"key_change"}:
        run(clusters, API, KEYS, f"SELECT * FROM {name} LIMIT 1")
        with pytest.raises(InsufficientPrivilege):
            run(clusters, API, KEYS, f"DELETE FROM {name}")
        with pytest.raises(InsufficientPrivilege):
            run(clusters, WORKER, KEYS, f"DROP TABLE {name}")


def test_a_role_of_one_store_does_not_reach_the_other_cluster(clusters: dict[str, Cluster]) -> None:
    main, keys = clusters[EVENTS], clusters[KEYS]

    assert main.password(API) != keys.password(API)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(keys.dsn(API, KEYS).replace(keys.password(API), main.password(API)))


def test_where_the_roles_do_not_exist_nothing_is_granted(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "pg-main")
    cluster.start(tmp_path / "pg-main.log")
    try:
        cluster.wait_ready()
        dsn = cluster.dsn("casekeeper_admin", "postgres")
        migrate(dsn)

        assert grant(dsn, "events") == []
    finally:
        cluster.stop()
