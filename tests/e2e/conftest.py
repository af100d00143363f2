from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.copy_of_service import Copy


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A running copy without the demonstration set, shared by the session."""
    running = Copy(tmp_path_factory.mktemp("copy") / "home")
    running.start()
    yield running
    running.stop()
