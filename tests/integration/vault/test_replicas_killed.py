"""A process killed between the replicas of a key, or before a key in one has its name: no copy outlives the key."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from replica_folders import files, roots
from vault_keys import KILLED, in_a_child
from vault_people import all_erased, all_open, seal_people

from vault.file_keyring import FileKeyring
from vault.replicas import NEW

AT = datetime(2026, 3, 4, tzinfo=UTC)


def killed_between(folder: Path, method: str, work) -> None:
    """Run work in a process that ends when it is to call a method of the replica in this folder."""

    def die() -> None:
        original = getattr(FileKeyring, method)

        def call(replica, *arguments):
            if replica._folder == folder:
                os._exit(KILLED)
            return original(replica, *arguments)

        setattr(FileKeyring, method, call)
        work()
        os._exit(0)

    assert in_a_child(die) == KILLED


@pytest.mark.parametrize("at", ["put_root", "destroy_root"])
@pytest.mark.parametrize("then", ["started again", "repeated"])
def test_killed_between_the_replicas_of_a_root_key(replicated, folders, at, then):
    vault = replicated.open()
    facts = seal_people(vault, 4, ("medical",))
    certificate = uuid4()
    killed_between(folders[1], at, lambda: replicated.open().destroy(certificate, AT, [facts[0].subject_id], []))
    assert [roots(folder) for folder in folders] == {"put_root": [[1, 2], [1]], "destroy_root": [[2], [1, 2]]}[at]

    if then == "started again":
        replicated.open()
        assert [roots(folder) for folder in folders] == ([[1]] * 2 if at == "put_root" else [[2]] * 2)
    destruction = replicated.open().destroy(certificate, AT, [facts[0].subject_id], [])

    assert (destruction.root_epoch_before, destruction.root_epoch_after) == (1, 2)
    assert destruction.scope_ids == [facts[0].scope_id]
    assert files(folders[0]) == files(folders[1])
    assert roots(folders[0]) == [2]
    assert all_erased(replicated.open(), facts[:1], certificate)
    assert all_open(replicated.open(), facts[1:])


def killed_before_its_name(folder: Path, work) -> None:
    """Run work in a process that ends when a key of the replica in this folder is written and has no name yet."""

    def die() -> None:
        link = os.link

        def call(source, target):
            if Path(target).parent == folder:
                os._exit(KILLED)
            link(source, target)

        os.link = call
        work()
        os._exit(0)

    assert in_a_child(die) == KILLED


def holding(folders, key: bytes) -> list[str]:
    """Return the files, whatever their names, in which a key stands."""
    return [str(path) for folder in folders for path in folder.iterdir() if key.hex() in path.read_text()]


def test_killed_while_a_root_key_is_copied_leaves_no_copy_that_outlives_its_destruction(replicated, folders):
    vault = replicated.open()
    facts = seal_people(vault, 4, ("medical",))
    [old] = (bytes.fromhex(key) for name, key in files(folders[0]).items() if name.startswith("root"))
    shutil.rmtree(folders[1])
    folders[1].mkdir(mode=0o700)
    (folders[1] / NEW).touch()
    killed_before_its_name(folders[1], replicated.open)
    assert len(holding(folders, old)) == 2
    assert files(folders[1]) == {}

    certificate = uuid4()
    vault.destroy(certificate, AT, [facts[0].subject_id], [])

    assert holding(folders, old) == []
    assert all_erased(replicated.open(), facts[:1], certificate)
    assert files(folders[0]) == files(folders[1])
    assert all(finding.ok for finding in vault.verify())


@pytest.mark.parametrize("then", ["started again", "asked for", "destroyed"])
def test_killed_while_a_secret_is_made_leaves_no_copy_that_outlives_its_destruction(replicated, folders, then):
    vault = replicated.open()
    killed_before_its_name(folders[1], lambda: replicated.open().secret("inbox.1"))
    made = bytes.fromhex(files(folders[0])["secret-inbox.1.key"])
    assert len(holding(folders, made)) == 2
    assert [finding.name for finding in vault.verify() if not finding.ok] == ["keyring"]

    if then == "started again":
        replicated.open()
        assert len(holding(folders, made)) == 2
        assert files(folders[0]) == files(folders[1])
    if then == "asked for":
        assert vault.secret("inbox.1") == made
    vault.destroy_secret("inbox.1")

    assert holding(folders, made) == []
    assert all(finding.ok for finding in vault.verify())


@pytest.mark.parametrize("at", ["note_destroyed", "remove_secret"])
@pytest.mark.parametrize("then", ["started again", "asked for"])
def test_killed_between_the_replicas_of_a_secret_that_is_destroyed(replicated, folders, at, then):
    vault = replicated.open()
    first, kept = vault.secret("inbox.1"), vault.secret("kept")
    killed_between(folders[1], at, lambda: replicated.open().destroy_secret("inbox.1"))

    if then == "started again":
        replicated.open()
        assert vault.secrets() == ["kept"]
        assert files(folders[0]) == files(folders[1])
    assert vault.secret("inbox.1") != first
    assert vault.secret("kept") == kept
    assert files(folders[0]) == files(folders[1])


@pytest.mark.parametrize("then", ["started again", "asked for"])
def test_killed_between_the_replicas_of_a_secret_that_is_made(replicated, folders, then):
    vault = replicated.open()
    killed_between(folders[1], "put_secret", lambda: replicated.open().secret("inbox.1"))
    made = bytes.fromhex(files(folders[0])["secret-inbox.1.key"])
    assert "secret-inbox.1.key" not in files(folders[1])

    if then == "started again":
        replicated.open()
    assert vault.secret("inbox.1") == made
    assert files(folders[0]) == files(folders[1])
