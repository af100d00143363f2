"""A PostgreSQL server of the test's own: killed, put back to older files, and used with few rights."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from store_builders import command, event, history, sql, stored_ids

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
        self.dsn = self.dsn_of(ADMINISTRATOR)

    def dsn_of(self, role: str) -> str:
        return self._cluster.dsn(role, "postgres")

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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path_factory.mktemp("server"))
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


def test_a_role_with_few_rights_appends_and_cannot_get_round_the_checks(server: OwnServer) -> None:
    with EventLog(server.dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)
    few = server.dsn_of("few_rights")
    with sql(server.dsn) as cursor:
        cursor.execute("CREATE ROLE few_rights LOGIN PASSWORD %s", (parse_dsn(few)["password"],))
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO few_rights")
        cursor.execute("GRANT EXECUTE ON FUNCTION append_commands TO few_rights")

    with EventLog(few) as log:
        position = log.append(history(uuid4(), 1)).positions[0]
        assert log.head() == position
        with pytest.raises(StoreUnavailable, match="permission denied"):
            log.admit_writes(log.admission().incarnation, 0)
        with pytest.raises(StoreUnavailable, match="permission denied"):
            log.refill(position + 1, [event(uuid4(), 1)], [])
    for statement in (
        "INSERT INTO events VALUES (99, gen_random_uuid(), gen_random_uuid(), 1, 'NoteAdded', '')",
        "UPDATE log_head SET position = 0",
        "DELETE FROM events",
        "INSERT INTO fences VALUES (gen_random_uuid(), 'scope', gen_random_uuid(), now(), 1)",
    ):
        with sql(few) as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
