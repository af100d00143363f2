"""``casekeeper backup`` and ``restore`` killed before and after each of their steps, and typed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from application.backups import read_manifest
from application.settings import Settings
from application.wiring import build_service
from tests.keys_story import Typed, casekeeper, closed, erased, new_installation, opened, registered

pytestmark = pytest.mark.faults

KILLED_AT = str(Path(__file__).parent / "killed_at.py")
BACKUP = (
    "ops.dumps:dump_database",
    "vault.change_log:ChangeLog.dump",
    "application.backups:copy_generation",
    "application.backups:write_manifest",
    "application.backups:give_name",
)
RESTORE = (
    "application.backups:read_manifest",
    "vault.restoring:bring_log",
    "vault.restoring:restore_keys",
    "vault.change_rows:go_on_from",
    "ops.dumps:restore_database",
    "ops.grants:grant",
)


@pytest.fixture
def settings(pg_main, pg_keys, new_database, tmp_path) -> Settings:
    return new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "home")


@pytest.fixture
def whole(settings) -> dict:
    """What everything sealed opens to, in an installation with people of whom one is erased."""
    service = build_service(settings)
    people = registered(service, 3)
    erased(service, people[0])
    found = opened(service)
    closed(service)
    return found


def killed(settings: Settings, where: str, when: str, nth: int, *arguments: str) -> Typed:
    done = casekeeper(settings, *arguments, program=(KILLED_AT, where, when, str(nth), "--"))
    assert done.returncode == -9, done.stderr
    return done


def typed(settings: Settings, *arguments: str) -> None:
    done = casekeeper(settings, *arguments)
    assert done.returncode == 0, done.stderr


def test_a_backup_killed_at_any_step_is_none_and_the_next_is_whole(settings, whole, tmp_path):
    for number, (where, when) in enumerate((where, when) for where in BACKUP for when in ("before", "after")):
        folder = tmp_path / f"backup-{number}"
        killed(settings, where, when, 1, "backup", "--to", str(folder))
        named = (where, when) == (BACKUP[-1], "after")
        assert folder.exists() is named
        if not named:
            typed(settings, "backup", "--to", str(folder))
        read_manifest(folder)
        assert not folder.with_name(f"{folder.name}.part").exists()
    service = build_service(settings)
    assert opened(service) == whole
    registered(service, 1)
    closed(service)
    assert casekeeper(settings, "keys", "verify").returncode == 0


@pytest.mark.parametrize("log_lost", [False, True], ids=["log kept up", "log lost"])
def test_a_restore_killed_at_any_step_goes_on(
    settings, whole, tmp_path, pg_main, pg_keys, new_database: Callable[..., str], log_lost
):
    backup = tmp_path / "backup"
    typed(settings, "backup", "--to", str(backup))
    for number, (where, when) in enumerate((where, when) for where in RESTORE for when in ("before", "after")):
        target = replace(
            settings,
            home=str(tmp_path / f"home-{number}"),
            events_dsn=new_database(pg_main, "events"),
            keys_dsn=new_database(pg_keys, "keys"),
            keys_log=str(tmp_path / f"log-{number}" if log_lost else settings.keys_log_path),
        )
        arguments = ["restore", "--from", str(backup), *(["--log-lost"] if log_lost else [])]
        killed(target, where, when, 1, *arguments)

        typed(target, *arguments)

        service = build_service(target)
        assert opened(service) == whole
        closed(service)
