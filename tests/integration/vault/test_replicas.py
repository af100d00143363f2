"""A keyring of several folders: one is away, behind, full or killed in between, and the end is as if it were well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from mount_namespace import NAMESPACE, possible
from vault_keys import KILLED, Keys, in_a_child
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import KeyringMismatch, KeysUnavailable
from store.migrate import migrate
from vault.file_keyring import FileKeyring
from vault.keyring_location import Folders
from vault.replicas import NEW, ReplicatedKeyring
from vault.vault import MIGRATIONS

AT = datetime(2026, 3, 4, tzinfo=UTC)
OURS = UUID("12345678-1234-4234-8234-123456789abc")
CLONE = Path(__file__).resolve().parents[3]


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    return tmp_path / "first", tmp_path / "second"


@pytest.fixture
def keyring(folders) -> ReplicatedKeyring:
    made = ReplicatedKeyring(folders, OURS)
    made.prepare()
    return made


@pytest.fixture
def replicated(pg_keys, new_database, folders) -> Keys:
    """Give an installation with two replicas."""
    installation = Keys(new_database(pg_keys, "replicas"), folders[0], Folders(folders))
    migrate(installation.dsn, MIGRATIONS)
    return installation


def files(folder) -> dict[str, str]:
    """Return the bytes of each key in a folder, in hex, by file."""
    return {path.name: json.loads(path.read_text())["key"] for path in folder.glob("*.key")}


def roots(folder) -> list[int]:
    """Return the epochs of the root keys in a folder."""
    return sorted(int(name[5:17]) for name in files(folder) if name.startswith("root-"))


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
