"""A keyring of several folders: one is away, behind, full or killed in between, and the end is as if it were well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from mount_namespace import NAMESPACE, possible
from replica_folders import files, roots
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import KeyringMismatch, KeysUnavailable
from vault.file_keyring import FileKeyring
from vault.replicas import NEW, ReplicatedKeyring

AT = datetime(2026, 3, 4, tzinfo=UTC)
OURS = UUID("12345678-1234-4234-8234-123456789abc")
CLONE = Path(__file__).resolve().parents[3]


@pytest.fixture
def keyring(folders) -> ReplicatedKeyring:
    made = ReplicatedKeyring(folders, OURS)
    made.prepare()
    return made


def test_all_folders_hold_the_same_bytes(keyring, folders):
    keyring.create_root(1)
    keyring.secret("relay-mac")

    first, second = map(files, folders)
    assert first == second
    assert len(first) == 2
    assert bytes.fromhex(first["secret-relay-mac.key"]) == keyring.secret("relay-mac")


@pytest.mark.parametrize("away", [0, 1])
def test_one_away_is_read_past_and_nothing_is_made_or_destroyed(keyring, folders, away, tmp_path):
    ref, secret = keyring.create_root(1), keyring.secret("kept")
    root = keyring.load_root(ref)
    before = files(folders[1 - away])
    folders[away].rename(tmp_path / "away")

    assert keyring.load_root(ref).fingerprint() == root.fingerprint()
    assert keyring.secret("kept") == secret
    assert keyring.secrets() == ["kept"]
    keyring.check()
    for call in (lambda: keyring.create_root(2), lambda: keyring.secret("new"), lambda: keyring.destroy_secret("kept")):
        with pytest.raises(KeysUnavailable, match=f"replica {away + 1}: "):
            call()
    with pytest.raises(KeysUnavailable):
        keyring.roots()
    assert files(folders[1 - away]) == before

    (tmp_path / "away").rename(folders[away])
    assert keyring.create_root(2).epoch == 2
    assert files(folders[0]) == files(folders[1])


def test_a_root_key_is_destroyed_where_it_can_be_and_that_is_not_enough(keyring, folders, tmp_path):
    ref, kept = keyring.create_root(1), keyring.create_root(2)
    folders[0].rename(tmp_path / "away")

    with pytest.raises(KeysUnavailable):
        keyring.destroy_root(ref)
    assert roots(folders[1]) == [2]
    (tmp_path / "away").rename(folders[0])

    assert keyring.roots() == [ref, kept]
    keyring.destroy_root(ref)
    assert roots(folders[0]) == roots(folders[1]) == [2]


def test_an_old_replica_brings_no_person_no_root_and_no_secret_back(replicated, folders, tmp_path):
    vault = replicated.open()
    facts = seal_people(vault, 4, ("medical",))
    old_secret, kept = vault.secret("inbox.1"), vault.secret("kept")
    shutil.copytree(folders[1], tmp_path / "old")
    certificate = uuid4()
    vault.destroy(certificate, AT, [facts[0].subject_id], [])
    vault.destroy_secret("inbox.1")
    renewed, later = vault.secret("inbox.1"), vault.secret("later")
    shutil.rmtree(folders[1])
    (tmp_path / "old").rename(folders[1])
    assert bytes.fromhex(files(folders[1])["secret-inbox.1.key"]) == old_secret

    # A process that runs on reads past the old one; so does one that starts, and brings it up to date.
    for reader in (vault, replicated.open()):
        reader.drop_cache()
        assert all_erased(reader, facts[:1], certificate)
        assert all_open(reader, facts[1:])
        assert (reader.secret("inbox.1"), reader.secret("kept"), reader.secret("later")) == (renewed, kept, later)
        assert reader.secrets() == ["inbox.1", "kept", "later"]

    assert files(folders[0]) == files(folders[1])
    assert roots(folders[1]) == [2]
    assert (folders[0] / "destroyed").read_text().split() == (folders[1] / "destroyed").read_text().split()


def test_a_destroyed_secret_does_not_come_back_from_an_old_replica_alone(replicated, folders, tmp_path):
    vault = replicated.open()
    vault.secret("inbox.1")
    shutil.copytree(folders[1], tmp_path / "old")
    vault.destroy_secret("inbox.1")
    shutil.rmtree(folders[1])
    (tmp_path / "old").rename(folders[1])

    assert vault.secrets() == []
    replicated.open()

    assert [name for name in files(folders[1]) if name.startswith("secret")] == []


def test_an_old_cluster_and_an_old_replica_together_do_not_turn_the_newest_back(replicated, folders, tmp_path):
    vault = replicated.open()
    facts = seal_people(vault, 3, ("medical",))
    for table in ("key_root", "key_node"):
        replicated.sql(f"CREATE TABLE old_{table} AS TABLE {table}")
    shutil.copytree(folders[1], tmp_path / "old")
    vault.destroy(uuid4(), AT, [facts[0].subject_id], [])
    for table in ("destroyed_person", "destroyed_scope", "destruction", "key_node", "key_root"):
        replicated.sql(f"DELETE FROM {table}", by_hand=True)
    for table in ("key_root", "key_node"):
        replicated.sql(f"INSERT INTO {table} TABLE old_{table}", by_hand=True)
    shutil.rmtree(folders[1])
    (tmp_path / "old").rename(folders[1])
    before = [files(folder) for folder in folders]

    for call in (replicated.open, lambda: vault.destroy(uuid4(), AT, [facts[1].subject_id], [])):
        with pytest.raises(KeyringMismatch, match="cluster is older"):
            call()
    assert [files(folder) for folder in folders] == before


def test_all_replicas_of_the_past_are_refused(replicated, folders, tmp_path):
    vault = replicated.open()
    fact = seal_fact(vault, uuid4())
    for folder in folders:
        shutil.copytree(folder, tmp_path / f"old {folder.name}")
    vault.destroy(uuid4(), AT, [fact.subject_id], [])
    for folder in folders:
        shutil.rmtree(folder)
        (tmp_path / f"old {folder.name}").rename(folder)

    with pytest.raises(KeyringMismatch, match="keyring is older"):
        replicated.open()
    assert [roots(folder) for folder in folders] == [[1], [1]]


def test_a_start_with_one_away_reads_and_erases_when_it_is_back(replicated, folders, tmp_path):
    vault = replicated.open()
    facts = seal_people(vault, 3, ("medical",))
    folders[1].rename(tmp_path / "away")
    certificate = uuid4()

    started = replicated.open()
    assert all_open(started, facts)
    with pytest.raises(KeysUnavailable, match="replica 2"):
        started.destroy(certificate, AT, [facts[0].subject_id], [])
    assert all_open(replicated.open(), facts)
    (tmp_path / "away").rename(folders[1])

    assert started.destroy(certificate, AT, [facts[0].subject_id], []).root_epoch_after == 2
    assert all_erased(replicated.open(), facts[:1], certificate)
    assert all_open(replicated.open(), facts[1:])
    assert [roots(folder) for folder in folders] == [[2], [2]]


def test_an_empty_folder_is_filled_only_where_the_operator_says_it_is_new(replicated, folders):
    vault = replicated.open()
    fact, other = seal_fact(vault, uuid4()), seal_fact(vault, uuid4())
    vault.secret("kept")
    shutil.rmtree(folders[1])
    folders[1].mkdir(mode=0o700)

    assert replicated.open().open(fact.field) == fact.value
    with pytest.raises(KeysUnavailable, match="replica 2 of the keyring is empty: is its volume mounted"):
        vault.destroy(uuid4(), AT, [other.subject_id], [])
    assert list(folders[1].iterdir()) == []
    (folders[1] / NEW).touch()

    assert replicated.open().open(fact.field) == fact.value
    assert files(folders[1]) == files(folders[0])
    assert not (folders[1] / NEW).exists()


@pytest.mark.parametrize(
    ("of", "call"),
    [(ReplicatedKeyring, "create_root"), (FileKeyring, "put_root"), (ReplicatedKeyring, "destroy_root")],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_volume_that_goes_away_during_a_destruction_is_an_outage_until_it_is_back(
    replicated, folders, tmp_path, monkeypatch, of, call
):
    """The folder is an empty mount point then: what is made there hides, and what is destroyed there stays."""
    vault = replicated.open()
    facts = seal_people(vault, 4, ("medical",))
    volume, original = tmp_path / "volume", getattr(of, call)

    def unmounted(keyring, *arguments):
        if not volume.exists() and getattr(keyring, "_folder", folders[1]) == folders[1]:
            folders[1].rename(volume)
            folders[1].mkdir(mode=0o700)
        return original(keyring, *arguments)

    monkeypatch.setattr(of, call, unmounted)
    certificate = uuid4()

    with pytest.raises(KeysUnavailable, match=r"replica 2.* is its volume mounted"):
        vault.destroy(certificate, AT, [facts[0].subject_id], [])

    assert 1 in roots(volume)
    assert files(folders[1]) == {}
    shutil.rmtree(folders[1])
    volume.rename(folders[1])
    monkeypatch.undo()
    vault.destroy(certificate, AT, [facts[0].subject_id], [])
    assert [roots(folder) for folder in folders] == [[2], [2]]
    assert all_erased(replicated.open(), facts[:1], certificate)
    assert all_open(replicated.open(), facts[1:])


def test_a_new_replica_learns_what_was_destroyed_before_it(replicated, folders, tmp_path):
    """Else an old copy that comes later, when the one that knew is lost, would bring the secret back."""
    vault = replicated.open()
    vault.secret("inbox.1")
    shutil.copytree(folders[0], tmp_path / "old")
    vault.destroy_secret("inbox.1")
    shutil.rmtree(folders[1])
    folders[1].mkdir(mode=0o700)
    (folders[1] / NEW).touch()
    replicated.open()
    shutil.rmtree(folders[0])
    (tmp_path / "old").rename(folders[0])

    assert replicated.open().secrets() == []
    assert files(folders[0]) == files(folders[1])


def test_a_damaged_or_foreign_replica_is_refused_at_start(replicated, folders):
    fact = seal_fact(replicated.open(), uuid4())
    shutil.rmtree(folders[1])
    other = FileKeyring(folders[1], uuid4())
    other.prepare()
    other.create_root(1)
    before = files(folders[1])

    with pytest.raises(KeyringMismatch, match="another installation"):
        replicated.open()
    assert files(folders[1]) == before
    shutil.rmtree(folders[1])
    assert replicated.open().open(fact.field) == fact.value


def test_different_secrets_under_one_name_are_refused(keyring, folders):
    keyring.create_root(1)
    for folder in folders:
        FileKeyring(folder, OURS).secret("torn")

    with pytest.raises(KeyringMismatch, match="different secrets under one name"):
        keyring.secret("torn")


@pytest.mark.skipif(not possible(), reason="needs a mount namespace")
def test_a_full_and_a_read_only_replica(tmp_path):
    program = Path(__file__).with_name("full_replica.py")

    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(CLONE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "full create_root KeysUnavailable: replica 2: the keyring's volume is full",
        "full secret KeysUnavailable: replica 2: the keyring's volume is full",
        "full read True",
        "read-only create_root KeysUnavailable: replica 2: the keyring is read-only",
        "read-only destroy_root KeysUnavailable: replica 2: a key of the keyring cannot be destroyed",
        "read-only destroy_secret KeysUnavailable: replica 2: the keyring is read-only",
        "read-only read True",
        "well again True True ['kept']",
    ]
