from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.copy_of_service import Copy


@pytest.fixture(scope="session")
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A running copy without the demonstration set, shared by the session.

    With ``CASEKEEPER_TEST_KEYRING=pkcs11`` its keyring is a token of SoftHSM2, with ``replicas`` two folders.
    """
    folder = tmp_path_factory.mktemp("copy")
    keyring = {
        "pkcs11": lambda: str(request.getfixturevalue("softhsm").new_token()),
        "replicas": lambda: f"file:{folder / 'first'},file:{folder / 'second'}",
    }.get(os.environ.get("CASEKEEPER_TEST_KEYRING", ""))
    running = Copy(folder / "home", settings={"CASEKEEPER_KEYRING": keyring()} if keyring else {})
    running.start()
    yield running
    running.stop()
