"""A database per module for views, and feeds that take records in as the runner does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection
from view_records import parse

from projections.base import Projection
from projections.positions import advance, prepare
from store.migrate import migrate
from tests.keyrings import location_for
from vault.vault import MIGRATIONS, Vault


class Feed:
    """Gives a projection the next records, in one transaction with its position."""

    def __init__(self, connection: Connection, projection: Projection) -> None:
        self.connection = connection
        self.projection = projection
        self.position = prepare(connection, projection, rebuild=True)

    def take(self, *written: dict[str, Any]) -> None:
        """Take records in as one batch."""
        records = [parse(self.position + number, record) for number, record in enumerate(written, 1)]
        with self.connection, self.connection.cursor() as cursor:
            self.projection.apply_batch(cursor, records)
            advance(cursor, self.projection.name, self.position, records[-1].position)
        self.position = records[-1].position

    def take_one_by_one(self, *written: dict[str, Any]) -> None:
        """Take records in, each in a transaction of its own."""
        for record in written:
            self.take(record)

    def ask(self, query: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Ask one of the view's query functions."""
        with self.connection, self.connection.cursor() as cursor:
            return query(cursor, *args, **named)

    def rows(self, table: str, columns: str, order: str = "1") -> list[tuple[Any, ...]]:
        """Return what a table holds."""
        return self.ask(_select, f"SELECT {columns} FROM {table} ORDER BY {order}")


def _select(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return cursor.fetchall()


@pytest.fixture(scope="module")
def views_dsn(pg_main: str, new_database: Callable[..., str]) -> str:
    """Give a database for views, as an owner."""
    return new_database(pg_main, "views")


@pytest.fixture(scope="module")
def vault(pg_keys: str, new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Give a vault of its own to the tests of a module."""
    dsn = new_database(pg_keys, "view_keys")
    migrate(dsn, MIGRATIONS)
    opened = Vault.open_at(dsn, location_for(tmp_path_factory.mktemp("view-keyring") / "keyring"), cache_seconds=0)
    yield opened
    opened.close()


@pytest.fixture
def connect(views_dsn: str) -> Iterator[Callable[[], Connection]]:
    """Give ``connect()``; what it opened is closed after the test."""
    opened: list[Connection] = []

    def open_one() -> Connection:
        opened.append(psycopg2.connect(views_dsn))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def feed(connect: Callable[[], Connection]) -> Callable[[Projection], Feed]:
    """Give ``feed(projection)``, with the projection's view empty."""
    return lambda projection: Feed(connect(), projection)
