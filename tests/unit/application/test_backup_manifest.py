"""A manifest says what a backup holds: all of it, and nothing beside it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import pytest

from application.backups import EVENTS, Content, read_manifest, write_manifest
from domain.errors import RestoreRefused
from vault.change_file import ChangeFolder

CONTENT = Content("2026-11-27T00:00:00.000000Z", UUID(int=1), 7, UUID(int=2), 3)
GENERATION = "keys/keys-00000003.log"


@pytest.fixture
def files(tmp_path) -> Path:
    folder = tmp_path / "backup"
    (folder / "keys").mkdir(parents=True)
    (folder / EVENTS).write_bytes(b"events")
    (folder / GENERATION).write_bytes(b"keys")
    return folder


def test_a_whole_backup_is_taken(files):
    write_manifest(files, CONTENT)

    assert read_manifest(files) == CONTENT


@pytest.mark.parametrize("name", ["keys/keys-00000099.log", "keys/keys-00000099.new", "more/keys-00000004.log", "x"])
def test_a_file_that_was_put_into_a_backup_is_not_taken_for_a_part_of_it(files, name):
    write_manifest(files, CONTENT)
    (files / name).parent.mkdir(exist_ok=True)
    (files / name).write_bytes(b"keys")

    with pytest.raises(RestoreRefused, match="does not name"):
        read_manifest(files)


def test_a_link_in_a_backup_is_not_followed(files, tmp_path):
    write_manifest(files, CONTENT)
    (tmp_path / "elsewhere").write_bytes(b"keys")
    (files / "keys/keys-00000099.log").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RestoreRefused, match="does not name"):
        read_manifest(files)


@pytest.mark.parametrize("name", [EVENTS, GENERATION])
def test_a_manifest_without_what_is_restored_is_none(files, name):
    (files / name).unlink()
    write_manifest(files, CONTENT)
    (files / name).write_bytes(b"anything")

    with pytest.raises(RestoreRefused):
        read_manifest(files)


def test_a_manifest_that_names_less_than_what_is_restored_is_refused(files):
    (files / GENERATION).unlink()
    write_manifest(files, CONTENT)

    with pytest.raises(RestoreRefused, match="keys-00000003"):
        read_manifest(files)


def test_every_file_of_a_backup_is_for_its_owner_alone(files, tmp_path):
    before = os.umask(0o000)
    try:
        log = ChangeFolder(tmp_path / "log")
        log.folder.mkdir()
        (tmp_path / "copy").mkdir()
        coming = log.begin(1)
        coming.add({"format": 1})
        end = coming.finish()
        coming.close()
        log.settle(end)
        log.copy(end, tmp_path / "copy")
        write_manifest(files, CONTENT)
    finally:
        os.umask(before)

    written = [tmp_path / "copy/keys-00000001.log", *files.rglob("*.*")]
    assert {f"{path.name}: {path.stat().st_mode & 0o077:o}" for path in written if path.stat().st_mode & 0o077} == set()
