"""The attacks that forgetting must withstand; each says at the end of the run what it searched and how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault_keys import Keys, new_installation

from tests.e2e.copy_of_service import Copy

_TOLD = pytest.StashKey[list[str]]()
Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Give a function that adds a line to the run's summary, under the test's name."""
    told = request.config.stash.setdefault(_TOLD, [])
    return lambda text: told.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = terminalreporter.config.stash.get(_TOLD, [])
    if told:
        terminalreporter.section("what the attacks searched")
        for line in told:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def vault_database(pg_keys: str, new_database: Callable[..., str]) -> str:
    """Give one database on the keys cluster for these tests' installations, each in a schema of its own."""
    return new_database(pg_keys, "attacked")


@pytest.fixture
def keys(vault_database: str, tmp_path: Path) -> Keys:
    """Give a new installation of keys."""
    return new_installation(vault_database, tmp_path)


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A running copy without the demonstration set, whose temporary files are kept where they are looked through."""
    folder = tmp_path_factory.mktemp("attacked")
    temporary = folder / "home" / "tmp"
    temporary.mkdir(parents=True)
    running = Copy(folder / "home", settings={"TMPDIR": str(temporary)})
    running.start()
    yield running
    running.stop()
