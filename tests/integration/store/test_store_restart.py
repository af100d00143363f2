"""A PostgreSQL server killed, and one put back to an older copy of its files, while the topic cannot be read."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from store_builders import command, event, history, stored_ids

from domain.errors import StoreUnavailable
from ops.postgres import ADMINISTRATOR, Cluster
from store.append import Appended
from store.log import EventLog
from store.migrate import migrate
from store.refill import Comparison, admit_without_topic, bring_up_to_topic


class OwnServer:
    """A server of this test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cluster = Cluster(folder / "pg-main")
        self.start()
        self.dsn = self._cluster.dsn(ADMINISTRATOR, "postgres")

    def start(self) -> None:
        self._process = self._cluster.start(self._folder / "pg-main.log")
        self._cluster.wait_ready()

    def kill(self) -> None:
        """End it at once: it will recover from its write-ahead log."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def stop(self) -> None:
        self._cluster.stop()

    def copy_files(self) -> Callable[[], None]:
        """Copy the files of the stopped server; return a function that puts the copy back."""
        data = (self._folder / "pg-main" / "store").resolve() / "data"
        copy = self._folder / "copy"
        subprocess.run(["cp", "-a", data, copy], check=True)

        def put_back() -> None:
            subprocess.run(["rm", "-r", data], check=True)
            subprocess.run(["cp", "-a", copy, data], check=True)

        return put_back


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path)
    migrate(server.dsn)
    yield server
    server.stop()


def test_a_crash_loses_nothing_and_an_old_copy_of_the_files_is_recognised(server: OwnServer, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    with EventLog(server.dsn, heads=heads) as log:
        with pytest.raises(StoreUnavailable, match="topic must be read"):
            admit_without_topic(log)
        log.admit_writes(log.admission().incarnation, 0)
        first = history(uuid4(), 3)
        log.append(first)
        server.stop()
        put_back = server.copy_files()
        server.start()
        assert log.admission().admitted is False
        admit_without_topic(log)
        second = history(uuid4(), 2)
        assert log.append(second) == Appended((4, 5))

        server.kill()
        with pytest.raises(StoreUnavailable):
            log.head()
        server.start()
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            log.append(history(uuid4(), 1))
        assert log.append(second) == Appended((4, 5)), "what was stored before the crash is still known"
        admit_without_topic(log)
        third = command(event(uuid4(), 1))
        assert log.append(third) == Appended((6,))

    server.stop()
    put_back()
    server.start()
    with EventLog(server.dsn, heads=heads) as log:
        assert log.head() == 3
        with pytest.raises(StoreUnavailable, match="below known position 6"):
            admit_without_topic(log)
        with pytest.raises(StoreUnavailable):
            log.append(history(uuid4(), 1))

        published = list(enumerate([*first.events, *second.events, *third.events], 1))
        incarnation = log.admission().incarnation
        assert bring_up_to_topic(log, published[2:], lambda _: ()) == Comparison(same=1, copied=3, end=6)
        log.admit_writes(incarnation, 6)
        assert log.append(history(uuid4(), 1)) == Appended((7,))
    assert [stored_ids(server.dsn)[p] for p, _ in published] == [e.event_id for _, e in published]
