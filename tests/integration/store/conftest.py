"""A fresh, migrated event store per test, on the session's main cluster."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from store.log import EventLog
from store.migrate import migrate


@pytest.fixture(scope="session")
def store_database(pg_main: str, new_database: Callable[..., str]) -> str:
    """Return the connection string of a database in which each test has a schema of its own."""
    return new_database(pg_main, "store")


@pytest.fixture
def events_dsn(store_database: str) -> str:
    """Return the connection string of a new event store that takes writes."""
    schema = f"s{secrets.token_hex(6)}"
    connection = psycopg2.connect(store_database)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
    connection.close()
    dsn = make_dsn(store_database, options=f"-csearch_path={schema}")
    migrate(dsn)
    with EventLog(dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)
    return dsn


@pytest.fixture
def log(events_dsn: str) -> Iterator[EventLog]:
    """Give the log of a new event store."""
    with EventLog(events_dsn) as opened:
        yield opened
