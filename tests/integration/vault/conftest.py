"""Keys databases and keyrings on the session's real PostgreSQL, with a small fan-out: trees get deep soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault_keys import KIND, Keys, new_installation

from tests.softhsm import SoftHsm
from vault.keyring_location import Folders
from vault.vault import Vault


@pytest.fixture(scope="session")
def vault_database(pg_keys: str, new_database: Callable[..., str]) -> str:
    """Give one database for all these tests, each of which has a schema of its own in it."""
    return new_database(pg_keys, "vault")


@pytest.fixture
def keys(request: pytest.FixtureRequest, vault_database: str, tmp_path: Path) -> Keys:
    """Give a new installation."""
    return _installation(request, vault_database, tmp_path)


@pytest.fixture(scope="module")
def shared_keys(request: pytest.FixtureRequest, vault_database: str, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Give an installation that the tests of a module share, each with people of its own."""
    return _installation(request, vault_database, tmp_path_factory.mktemp("shared"))


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
    return new_installation(vault_database, keys.folder if keys.location else keys.folder.parent, keys.location)


def _installation(request: pytest.FixtureRequest, database: str, folder: Path) -> Keys:
    if KIND == "pkcs11":
        softhsm: SoftHsm = request.getfixturevalue("softhsm")
        token = softhsm.new_token()
        return new_installation(database, softhsm.files_of(token), token)
    if KIND == "replicas":
        both = folder / "keyring"
        return new_installation(database, both, Folders((both / "first", both / "second")))
    return new_installation(database, folder)


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
