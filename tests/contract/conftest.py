"""A fresh, migrated event store per test, for the library's own test classes."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from store.log import EventLog
from store.migrate import migrate


@pytest.fixture(scope="session")
def recorders_database(pg_main: str, new_database: Callable[..., str]) -> str:
    """Return the connection string of a database in which each test has a schema of its own."""
    return new_database(pg_main, "recorders")


@pytest.fixture
def events_dsn(recorders_database: str) -> str:
    """Return the connection string of a new event store that takes writes."""
    schema = f"s{secrets.token_hex(6)}"
    connection = psycopg2.connect(recorders_database)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
    connection.close()
    dsn = make_dsn(recorders_database, options=f"-csearch_path={schema}")
    migrate(dsn)
    with EventLog(dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)
    return dsn
