from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_world import World


@pytest.fixture(scope="session")
def world(pg_main, pg_keys, new_database, tmp_path_factory) -> Iterator[World]:
    """Give HTTP over real PostgreSQL, its views kept up by a thread."""
    made = World(
        new_database(pg_main, "api_events"),
        new_database(pg_main, "api_views"),
        new_database(pg_keys, "api_keys"),
        tmp_path_factory.mktemp("api-home"),
    )
    yield made
    made.close()
    assert made.projector.error is None
