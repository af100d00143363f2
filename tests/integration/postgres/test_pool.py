"""Connections shared by threads: how long one waits for them, and what becomes of those that the server has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg2
import pytest

from domain.errors import CasekeeperError, KeysUnavailable, StoreUnavailable, ViewsUnavailable
from postgres import pool as pools
from postgres.pool import LOOK, Pool
from projections.views import Views
from store.connection import Connections as StoreConnections
from vault.connections import Connections as VaultConnections


class AllInUse(Exception):
    pass


def connect(dsn: str) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(dsn, application_name="pooled")
    connection.autocommit = True
    return connection


@pytest.fixture
def dsn(pg_main: str, new_database: Callable[..., str]) -> str:
    return new_database(pg_main, "pool")


@pytest.fixture
def pool(dsn: str) -> Iterator[Pool]:
    made = Pool(partial(connect, dsn), 2, AllInUse)
    yield made
    made.close()


def ended_by_the_server(dsn: str) -> int:
    with psycopg2.connect(dsn) as observer, observer.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'pooled'"
        )
        [(many,)] = cursor.fetchall()
    observer.close()
    return int(many)


def test_a_connection_is_lent_to_one_at_a_time_and_used_again(pool: Pool) -> None:
    with pool.lent() as one, pool.lent() as other:
        assert one is not other
        assert pool.use() == (2, 0, 2)
    with pool.lent() as again:
        assert again in (one, other)
        assert pool.use() == (1, 1, 2)


def test_who_waits_too_long_is_told_and_nothing_is_left_lent(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "CHECKOUT_SECONDS", 0.05)
    with pool.lent(), pool.lent():
        began = time.monotonic()
        with pytest.raises(AllInUse), pool.lent():
            pass
        assert time.monotonic() - began < 2
    assert pool.use() == (0, 2, 2)


def test_a_first_statement_finds_a_connection_that_was_ended_while_idle(pool: Pool, dsn: str) -> None:
    with pool.lent(), pool.lent():
        pass
    assert ended_by_the_server(dsn) == 2

    with pool.lent(LOOK) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        assert cursor.fetchall() == [(7,)]
    assert pool.use() == (0, 1, 2), "the other dead one is not kept"


def test_a_connection_that_is_found_dead_takes_the_idle_ones_with_it(pool: Pool, dsn: str) -> None:
    with pool.lent(), pool.lent():
        pass
    assert ended_by_the_server(dsn) == 2

    with pytest.raises(psycopg2.OperationalError), pool.lent() as connection:
        connection.cursor().execute("SELECT 7")
    assert pool.use() == (0, 0, 2)


def test_one_left_in_a_transaction_is_not_lent_again(pool: Pool) -> None:
    with pool.lent() as left, left.cursor() as cursor:
        cursor.execute("BEGIN")
    with pool.lent() as other:
        assert other is not left
    assert left.closed


def test_a_first_statement_that_fails_by_itself_fails_and_frees_its_place(pool: Pool) -> None:
    with pytest.raises(psycopg2.errors.UndefinedTable), pool.lent("SELECT 1 FROM nowhere"):
        pass
    assert pool.use() == (0, 0, 2)


def store_read(dsn: str) -> None:
    StoreConnections(dsn, "x", 0).read(lambda cursor: cursor.execute("SELECT 1"))


def store_transaction(dsn: str) -> None:
    with StoreConnections(dsn, "x", 0).transaction():
        pass


def vault_read(dsn: str) -> None:
    VaultConnections(dsn, 0).read(lambda cursor: cursor.execute("SELECT 1"))


def vault_session(dsn: str) -> None:
    with VaultConnections(dsn, 0).session():
        pass


def views_read(dsn: str) -> None:
    Views(dsn, size=0).positions()


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (store_read, StoreUnavailable),
        (store_transaction, StoreUnavailable),
        (vault_read, KeysUnavailable),
        (vault_session, KeysUnavailable),
        (views_read, ViewsUnavailable),
    ],
)
def test_nobody_waits_for_ever_for_store_keys_or_views(
    read: Callable[[str], None], error: type[CasekeeperError], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "CHECKOUT_SECONDS", 0.05)
    with pytest.raises(error, match=r"all connections to .* are in use"):
        read(dsn)
