"""``casekeeper backup`` and ``restore`` on real servers: what comes back, what does not, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from application.settings import Settings
from application.wiring import build_service
from domain.errors import StoreUnavailable
from tests.keyrings import of_files
from tests.keys_story import casekeeper, closed, erased, new_installation, opened, registered


@pytest.fixture
def settings(pg_main, pg_keys, new_database, tmp_path):
    return new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "home")


@pytest.fixture
def empty(settings, pg_main, pg_keys, new_database) -> Settings:
    """The installation with both databases lost and new ones in their place; keyring and key change log are there."""
    return replace(settings, events_dsn=new_database(pg_main, "events"), keys_dsn=new_database(pg_keys, "keys"))


def backed_up(settings: Settings, folder: Path) -> Path:
    done = casekeeper(settings, "backup", "--to", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def restored(settings: Settings, folder: Path, *more: str) -> str:
    done = casekeeper(settings, "restore", "--from", str(folder), *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(settings: Settings, folder: Path, *more: str) -> str:
    done = casekeeper(settings, "restore", "--from", str(folder), *more)
    assert done.returncode == 1
    return done.stderr.strip()


def tables(dsn: str) -> int:
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"
        )
        [(count,)] = cursor.fetchall()
    connection.close()
    return count


def test_old_events_with_the_keys_of_today_leave_the_erased_erased_and_everybody_else_opens(settings, empty, tmp_path):
    service = build_service(settings)
    people = registered(service, 4)
    first = erased(service, people[0])
    at_backup = opened(service)
    closed(service)
    backup = backed_up(settings, tmp_path / "backup")
    service = build_service(settings)
    second = erased(service, people[1])
    registered(service, 2)
    now = opened(service)
    closed(service)

    said = restored(empty, backup)

    assert "kept up to the end" in said
    service = build_service(empty)
    found = opened(service)
    assert found == {place: now[place] for place in at_backup}
    assert {first, second} <= {value for value in found.values() if not isinstance(value, dict)}
    assert sum(isinstance(value, dict) for value in found.values()) > 2
    closed(service)
    assert casekeeper(empty, "keys", "verify").returncode == 0


def test_a_backup_alone_restores_everything_while_nothing_was_destroyed_since(settings, empty, tmp_path):
    service = build_service(settings)
    people = registered(service, 3)
    erased(service, people[0])
    whole = opened(service)
    closed(service)
    backup = backed_up(settings, tmp_path / "backup")
    shutil.rmtree(settings.keys_log_path)

    unasked = [refusal(empty, backup), refusal(empty, backup, "--dry-run")]
    dry = restored(empty, backup, "--log-lost", "--dry-run")
    assert (tables(empty.events_dsn), tables(empty.keys_dsn)) == (0, 0)
    assert not settings.keys_log_path.exists()
    assert ["--log-lost" in said for said in unasked] == [True, True]
    assert "would be put back" in dry
    said = restored(empty, backup, "--log-lost")

    assert "the backup's copy" in said
    service = build_service(empty)
    assert opened(service) == whole
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        registered(service, 1)
    service.log.admit_writes(service.log.admission().incarnation, 0)
    registered(service, 1)
    erased(service, people[1])
    closed(service)
    assert casekeeper(empty, "keys", "verify").returncode == 0
    assert "there already" in restored(empty, backup, "--dry-run")


def test_keys_of_before_a_destruction_are_refused_and_nothing_is_changed(settings, empty, tmp_path):
    service = build_service(settings)
    people = registered(service, 2)
    closed(service)
    backup = backed_up(settings, tmp_path / "backup")
    service = build_service(settings)
    erased(service, people[0])
    now = opened(service)
    closed(service)
    volume = settings.keys_log_path.rename(tmp_path / "volume")
    settings.keys_log_path.mkdir()

    assert "is its volume mounted?" in refusal(empty, backup)
    assert "the keys cluster is older than the keyring" in refusal(empty, backup, "--log-lost")

    assert (tables(empty.events_dsn), tables(empty.keys_dsn)) == (0, 0)
    assert list(settings.keys_log_path.iterdir()) == []
    settings.keys_log_path.rmdir()
    volume.rename(settings.keys_log_path)
    assert "kept up to the end" in restored(empty, backup)
    service = build_service(empty)
    assert opened(service) == now
    closed(service)


@of_files
def test_nothing_of_the_keyring_and_nothing_personal_is_in_a_backup(settings, tmp_path):
    service = build_service(settings)
    registered(service, 2)
    service.vault.secret("relay-mac")
    values = {text for value in opened(service).values() for text in _texts(value)}
    closed(service)
    keys = [json.loads(file.read_text())["key"] for file in settings.keyring_location.folders[0].glob("*.key")]

    backup = backed_up(settings, tmp_path / "backup")

    content = b"".join(file.read_bytes() for file in backup.rglob("*") if file.is_file())
    assert len(keys) >= 2
    assert any(len(text) > 8 for text in values)
    for secret in keys:
        assert secret.encode() not in content
        assert bytes.fromhex(secret) not in content
    assert [text for text in values if len(text) > 8 and text.encode() in content] == []
    assert {file.stat().st_mode & 0o077 for file in [backup]} == {0}


def _texts(value):
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", ["events.dump", "keys/keys-00000002.log", "MANIFEST.json"])
def test_a_backup_that_is_not_whole_is_refused(settings, empty, tmp_path, name):
    service = build_service(settings)
    registered(service, 1)
    closed(service)
    backup = backed_up(settings, tmp_path / "backup")
    raw = bytearray((backup / name).read_bytes())
    raw[len(raw) // 2] ^= 4
    (backup / name).write_bytes(raw)

    changed = refusal(empty, backup)
    (backup / name).unlink()
    missing = refusal(empty, backup)

    assert name in changed
    assert name in missing
    assert (tables(empty.events_dsn), tables(empty.keys_dsn)) == (0, 0)


def test_nothing_is_written_over(settings, tmp_path, pg_keys, new_database):
    service = build_service(settings)
    registered(service, 1)
    closed(service)
    backup = backed_up(settings, tmp_path / "backup")
    service = build_service(settings)
    registered(service, 1)
    whole = opened(service)
    closed(service)

    again = casekeeper(settings, "backup", "--to", str(backup))
    over_itself = restored(settings, backup)
    other = new_installation(settings.events_dsn, new_database(pg_keys, "keys"), tmp_path / "other")
    closed(build_service(other))
    over_others = refusal(other, backup)

    assert "never written over" in again.stderr
    assert "another installation" in over_others
    assert over_itself
    service = build_service(settings)
    assert opened(service) == whole
    closed(service)


def test_another_log_is_not_written_over(settings, tmp_path, pg_main, pg_keys, new_database):
    service = build_service(settings)
    registered(service, 1)
    closed(service)
    backup = backed_up(settings, tmp_path / "backup")
    other = new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "other")

    assert "events database is not empty" in refusal(other, backup)
