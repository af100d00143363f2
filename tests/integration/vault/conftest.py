"""Keys databases and keyrings on the session's real PostgreSQL, with a small fan-out: trees get deep soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault_keys import Keys, new_installation

from store.migrate import migrate
from vault.keyring_location import Folders
from vault.vault import MIGRATIONS, Vault


@pytest.fixture(scope="session")
def vault_database(pg_keys: str, new_database: Callable[..., str]) -> str:
    """Give one database for all these tests, each of which has a schema of its own in it."""
    return new_database(pg_keys, "vault")


@pytest.fixture
def keys(vault_database: str, tmp_path: Path) -> Keys:
    """Give a new installation."""
    return new_installation(vault_database, tmp_path)


@pytest.fixture(scope="module")
def shared_keys(vault_database: str, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Give an installation that the tests of a module share, each with people of its own."""
    return new_installation(vault_database, tmp_path_factory.mktemp("shared"))


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


@pytest.fixture
def empty_cluster(vault_database: str, keys: Keys) -> Keys:
    """Give an empty, migrated keys cluster beside the keyring of the installation ``keys``."""
    return new_installation(vault_database, keys.folder, keys.location)


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    """Give the place of a key change log."""
    return tmp_path / "keys-log"


@pytest.fixture
def logged(keys: Keys, log_folder: Path) -> Iterator[Vault]:
    """Give the installation's vault, with a key change log."""
    opened = keys.open(changes=log_folder)
    yield opened
    opened.close()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Give the places of two replicas of a keyring."""
    return tmp_path / "first", tmp_path / "second"


@pytest.fixture
def replicated(pg_keys: str, new_database: Callable[..., str], folders: tuple[Path, Path]) -> Keys:
    """Give an installation with these replicas."""
    installation = Keys(new_database(pg_keys, "replicas"), folders[0], Folders(folders))
    migrate(installation.dsn, MIGRATIONS)
    return installation
