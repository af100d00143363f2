"""First start, start again, and a keyring and a keys cluster that do not belong together."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from vault_keys import Keys
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import KeyringMismatch
from tests.keyrings import of_files
from vault.file_keyring import FileKeyring

AT = datetime(2026, 3, 4, tzinfo=UTC)


def test_a_first_start_makes_one_root_key_whoever_starts_at_once(keys):
    with ThreadPoolExecutor(4) as pool:
        vaults = list(pool.map(lambda _: keys.open(), range(4)))

    for vault in vaults:
        vault.health()
    assert len(keys.roots()) == 1
    assert keys.sql("SELECT epoch, top_level FROM key_root") == [(1, 1)]
    assert keys.sql("SELECT count(*) FROM key_node") == [(1,)]


def test_a_first_start_cut_short_after_the_root_key_was_made_is_done_again(keys):
    installation = uuid4()
    keys.sql("INSERT INTO key_root (installation_id, format, fanout) VALUES (%s, 1, 4)", installation)
    cut_short = keys.keyring(installation)
    cut_short.prepare()
    orphan = cut_short.create_root(1)

    vault = keys.open()

    assert orphan not in cut_short.roots()
    assert len(cut_short.roots()) == 1
    fact = seal_fact(vault, uuid4())
    assert vault.open(fact.field) == fact.value


def test_a_keyring_with_keys_beside_an_empty_cluster_is_left_alone(keys):
    other = keys.keyring(uuid4())
    other.prepare()
    root = other.create_root(1)

    with pytest.raises(KeyringMismatch, match="do not belong together"):
        keys.open()
    assert other.roots() == [root]
    assert keys.sql("SELECT count(*) FROM key_root") == [(0,)]


@of_files
def test_another_installation_s_keyring_is_refused(keys, vault):
    fact = seal_fact(vault, uuid4())
    shutil.rmtree(keys.folder)
    other = FileKeyring(keys.folder, uuid4())
    other.prepare()
    root = other.create_root(1)

    with pytest.raises(KeyringMismatch, match="another installation"):
        keys.open()
    vault.drop_cache()
    for call in (lambda: vault.open(fact.field), vault.health):
        with pytest.raises(KeyringMismatch):
            call()
    assert other.roots() == [root]


@of_files
def test_a_keyring_from_before_a_destruction_is_refused_and_the_person_stays_erased(keys, vault, tmp_path):
    facts = seal_people(vault, 3, ("medical",))
    old = tmp_path / "old keyring"
    shutil.copytree(keys.folder, old)
    certificate = uuid4()
    vault.destroy(certificate, AT, [facts[0].subject_id], [])

    with pytest.raises(KeyringMismatch, match="keyring is older"):
        Keys(keys.dsn, old).open()
    assert len(list(old.glob("root-*.key"))) == 1
    assert all_erased(keys.open(), facts[:1], certificate)
    assert all_open(keys.open(), facts[1:])


def test_a_keyring_restored_to_the_past_under_a_running_process(keys, vault, tmp_path):
    facts = seal_people(vault, 3, ("medical",))
    old = tmp_path / "old keyring"
    shutil.copytree(keys.folder, old)
    vault.destroy(uuid4(), AT, [facts[0].subject_id], [])
    with keys.restored(old):
        for call in (
            lambda: vault.open(facts[1].field),
            vault.health,
            lambda: vault.destroy(uuid4(), AT, [facts[1].subject_id], []),
        ):
            with pytest.raises(KeyringMismatch, match="keyring is older"):
                call()
        with pytest.raises(KeyringMismatch, match="keyring is older"):
            seal_fact(vault, uuid4())

    assert all_open(vault, facts[1:])


def test_a_keys_cluster_from_before_a_destruction_is_refused_and_the_keyring_left_alone(keys, vault):
    facts = seal_people(vault, 3, ("medical",))
    for table in ("key_root", "key_node"):
        keys.sql(f"CREATE TABLE old_{table} AS TABLE {table}")
    vault.destroy(uuid4(), AT, [facts[0].subject_id], [])
    for table in ("destroyed_person", "destroyed_scope", "destruction", "key_node", "key_root"):
        keys.sql(f"DELETE FROM {table}", by_hand=True)
    for table in ("key_root", "key_node"):
        keys.sql(f"INSERT INTO {table} TABLE old_{table}", by_hand=True)
    vault.drop_cache()

    for call in (
        keys.open,
        vault.health,
        lambda: vault.open(facts[0].field),
        lambda: vault.destroy(uuid4(), AT, [facts[1].subject_id], []),
        lambda: seal_fact(vault, facts[0].subject_id, "payment"),
    ):
        with pytest.raises(KeyringMismatch, match="cluster is older"):
            call()
    [root] = keys.roots()
    assert root.startswith("root-000000000002-")


@of_files
def test_a_root_key_that_was_restored_beside_the_current_one_is_destroyed_again(keys, vault, tmp_path):
    facts = seal_people(vault, 3, ("medical",))
    [old] = keys.folder.glob("root-*.key")
    kept = shutil.copy(old, tmp_path)
    vault.destroy(uuid4(), AT, [facts[0].subject_id], [])
    shutil.copy(kept, old)

    again = keys.open()

    assert not old.exists()
    assert all_open(again, facts[1:])


@of_files
@pytest.mark.parametrize("place", ["cluster", "keyring"])
def test_an_unknown_version_is_refused(keys, vault, place):
    if place == "cluster":
        keys.sql("UPDATE key_root SET format = 2")
    else:
        [path] = keys.folder.glob("root-*.key")
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))

    with pytest.raises(KeyringMismatch):
        keys.open()


def test_starting_again_finds_everything(keys, vault):
    facts = seal_people(vault, 3)
    vault.close()

    assert all_open(keys.open(), facts)
    assert all_open(vault, facts)
