"""What the tests of hiding places share: a PostgreSQL cluster of their own, HTTP over real stores, unique markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from api_world import World
from crashable_cluster import OwnCluster

from ops.postgres import Cluster
from ops.roles import provision


@pytest.fixture
def marker() -> str:
    """Return a text that stands nowhere else, in small letters so that it may pass for any plain word."""
    return f"mk{uuid4().hex}".translate(str.maketrans("0123456789", "ghijklmnop"))


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    """Give a cluster with the service's roles and databases."""
    folder = tmp_path_factory.mktemp("own") / "pg-main"
    made = OwnCluster(Cluster(folder), folder.with_suffix(".log"))
    made.cluster.start(made.log)
    try:
        made.cluster.wait_ready()
        provision(made.cluster)
        yield made
    finally:
        made.cluster.stop()


@pytest.fixture(scope="session")
def world(
    pg_main: str, pg_keys: str, new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Give HTTP over real PostgreSQL, its views kept up by a thread."""
    made = World(
        new_database(pg_main, "hiding_events"),
        new_database(pg_main, "hiding_views"),
        new_database(pg_keys, "hiding_keys"),
        tmp_path_factory.mktemp("hiding-home"),
    )
    yield made
    made.close()
    assert made.projector.error is None
