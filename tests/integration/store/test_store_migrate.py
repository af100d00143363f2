"""Migrations: each once, in order, one runner at a time, and never over a changed or newer schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from store_builders import at_once, rows

from domain.errors import SchemaMismatch, StoreUnavailable
from store.migrate import EVENTS_MIGRATIONS, migrate


@pytest.fixture
def dsn(pg_main: str, new_database: Callable[..., str]) -> str:
    return new_database(pg_main, "migrate")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "room" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (n integer); INSERT INTO first VALUES (1);")
    return folder


def test_files_are_applied_once_and_in_order(dsn: str, folder: Path) -> None:
    assert migrate(dsn, folder) == ["0001_first"]
    (folder / "0002_second.sql").write_text("UPDATE first SET n = n + 1;")
    assert migrate(dsn, folder) == ["0002_second"]
    assert migrate(dsn, folder) == []

    assert rows(dsn, "SELECT n FROM first") == [(2,)]
    recorded = "SELECT room, number, name, length(sha256) FROM schema_migrations ORDER BY number"
    assert rows(dsn, recorded) == [("room", 1, "0001_first", 64), ("room", 2, "0002_second", 64)]


def test_rooms_share_a_database(dsn: str, folder: Path) -> None:
    migrate(dsn, folder)

    assert migrate(dsn) == [path.stem for path in sorted(EVENTS_MIGRATIONS.glob("*.sql"))]
    assert migrate(dsn, folder) == []


def test_runners_started_together_apply_each_file_once(dsn: str) -> None:
    applied = at_once(*[lambda: migrate(dsn)] * 4)

    names = [path.stem for path in sorted(EVENTS_MIGRATIONS.glob("*.sql"))]
    assert sorted(applied) == [[], [], [], names]
    assert rows(dsn, "SELECT position FROM log_head") == [(0,)]


def test_a_changed_file_is_refused(dsn: str, folder: Path) -> None:
    migrate(dsn, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (n bigint);")
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n integer);")

    with pytest.raises(SchemaMismatch, match="0001_first was changed"):
        migrate(dsn, folder)
    assert rows(dsn, "SELECT to_regclass('second')") == [(None,)]


def test_a_database_newer_than_the_program_is_refused(dsn: str, folder: Path) -> None:
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n integer);")
    migrate(dsn, folder)
    (folder / "0002_second.sql").unlink()

    with pytest.raises(SchemaMismatch, match="newer than this program: it has migration 0002_second"):
        migrate(dsn, folder)


@pytest.mark.parametrize("name", ["0003_third.sql", "0001_again.sql", "second.sql"])
def test_files_out_of_sequence_are_refused(dsn: str, folder: Path, name: str) -> None:
    (folder / name).write_text("CREATE TABLE third (n integer);")

    with pytest.raises(SchemaMismatch, match="out of sequence"):
        migrate(dsn, folder)
    assert rows(dsn, "SELECT to_regclass('first')") == [(None,)]


def test_a_file_that_fails_leaves_nothing_of_itself(dsn: str, folder: Path) -> None:
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n integer); INSERT INTO second VALUES ('Canary77');")

    with pytest.raises(StoreUnavailable) as refused:
        migrate(dsn, folder)

    assert "Canary77" not in str(refused.value)
    assert rows(dsn, "SELECT to_regclass('second'), count(*) FROM schema_migrations") == [(None, 1)]
