"""Keys databases and keyrings on the session's real PostgreSQL, with a small fan-out: trees get deep soon."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from psycopg2.extensions import make_dsn

from store.migrate import migrate
from vault.vault import MIGRATIONS, Vault

FANOUT = 4


@dataclass(frozen=True)
class Keys:
    """One installation: a migrated keys database and its keyring's folder."""

    dsn: str = field(repr=False)
    folder: Path

    def open(self, **options: Any) -> Vault:
        """Return a vault of this installation, as a process of its own would have it."""
        return Vault.open_at(self.dsn, self.folder, **{"fanout": FANOUT, **options})

    def sql(self, statement: str, *values: Any, by_hand: bool = False) -> list[tuple[Any, ...]]:
        """Run one statement as the tables' owner; ``by_hand`` with the triggers of the key tables off."""
        connection = psycopg2.connect(self.dsn)
        try:
            with connection, connection.cursor() as cursor:
                tables = ["key_root", "key_node", "key_scope", "destruction", "destroyed_scope", "destroyed_person"]
                for table in tables if by_hand else []:
                    cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                psycopg2.extras.register_uuid(conn_or_curs=cursor)
                cursor.execute(statement, values)
                rows = cursor.fetchall() if cursor.description else []
                for table in tables if by_hand else []:
                    cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                return rows
        finally:
            connection.close()


@pytest.fixture(scope="session")
def vault_database(pg_keys: str, new_database: Callable[..., str]) -> str:
    """Give one database for all these tests, each of which has a schema of its own in it."""
    return new_database(pg_keys, "vault")


@pytest.fixture
def keys(vault_database: str, tmp_path: Path) -> Keys:
    """Give a new installation."""
    return _installation(vault_database, tmp_path)


@pytest.fixture(scope="module")
def shared_keys(vault_database: str, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Give an installation that the tests of a module share, each with people of its own."""
    return _installation(vault_database, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def vault(keys: Keys) -> Iterator[Vault]:
    """Give the installation's vault."""
    opened = keys.open()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared_vault(shared_keys: Keys) -> Iterator[Vault]:
    """Give the shared installation's vault."""
    opened = shared_keys.open()
    yield opened
    opened.close()


def _installation(database: str, folder: Path) -> Keys:
    schema = f"test_{secrets.token_hex(6)}"
    installation = Keys(make_dsn(database, options=f"-c search_path={schema}"), folder / "keyring")
    installation.sql(f"CREATE SCHEMA {schema}")
    migrate(installation.dsn, MIGRATIONS)
    return installation
