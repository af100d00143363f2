"""Keys put back from the change log into an empty cluster: exactly the lost cluster, or nothing at all."""

import json
import os
import shutil
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from key_rows import keys_of_today, opens
from vault_keys import KILLED, dying_at, in_a_child
from vault_people import all_erased, all_open, seal_people

from domain.errors import Fenced, KeyringMismatch, KeysUnavailable, RestoreRefused
from domain.sealed import KeyScope
from tests.keyrings import of_files
from vault import restoring
from vault.change_file import ChangeFolder
from vault.change_replay import replay
from vault.file_keyring import FileKeyring
from vault.nodes import Node, OpenedTree
from vault.restoring import restore_keys
from vault.sealing import SealedValue, event_key, unseal

AT = datetime(2026, 3, 4, tzinfo=UTC)
TABLES = ("key_root", "key_scope", "key_node", "destruction", "destroyed_person", "destroyed_scope", "suppression")


def rows(keys):
    return {table: sorted(keys.sql(f"SELECT to_jsonb(t)::text FROM {table} t")) for table in TABLES}


def restored(cluster, log_folder, **options):
    return restore_keys(cluster.dsn, log_folder, cluster.keyring, **options)


def test_the_restored_cluster_is_the_lost_one_row_for_row_and_goes_on(keys, logged, log_folder, empty_cluster):
    facts = seal_people(logged, 40)
    certificate = uuid4()
    logged.destroy(certificate, AT, [facts[0].subject_id], [])
    logged.suppression.enter([b"ada"], AT)
    logged._changes.dump()
    facts += seal_people(logged, 9)
    logged.suppression.enter([b"bob"], AT)
    lost = rows(keys)

    restored(empty_cluster, log_folder)

    assert rows(empty_cluster) == lost
    assert len(lost["suppression"]) == 2
    again = empty_cluster.open(changes=log_folder)
    assert [again.suppression.has_any([name], AT) for name in (b"ada", b"bob", b"cyd")] == [True, True, False]
    assert all_open(again, facts[2:])
    assert all_erased(again, facts[:2], certificate)
    with pytest.raises(Fenced):
        again.scope(KeyScope(facts[0].subject_id, "identity", None, 1))
    more = seal_people(again, 30)
    again.destroy(uuid4(), AT, [facts[2].subject_id], [])
    assert all_open(empty_cluster.open(changes=log_folder), [*facts[4:], *more])


def test_a_rotation_that_was_not_finished_is_finished_by_the_next_start(keys, logged, log_folder, empty_cluster):
    facts = seal_people(logged, 6, ("medical",))
    certificate = uuid4()
    killed_destroying(keys, log_folder, certificate, facts[0].subject_id, "changes logged")
    assert len(keys.roots()) == 2

    restored(empty_cluster, log_folder)
    again = empty_cluster.open(changes=log_folder)

    assert len(keys.roots()) == 1
    assert all_erased(again, facts[:1], certificate)
    assert all_open(again, facts[1:])


def test_a_rotation_that_never_came_into_the_log_did_not_happen_and_lost_nothing(
    keys, logged, log_folder, empty_cluster
):
    facts = seal_people(logged, 6, ("medical",))
    killed_destroying(keys, log_folder, uuid4(), facts[0].subject_id, "verified")

    restored(empty_cluster, log_folder)
    again = empty_cluster.open(changes=log_folder)

    assert len(keys.roots()) == 1
    assert all_open(again, facts)
    certificate = uuid4()
    again.destroy(certificate, AT, [facts[0].subject_id], [])
    assert all_erased(again, facts[:1], certificate)


def killed_destroying(keys, log_folder, certificate, subject_id, last_step):
    def run():
        keys.open(changes=log_folder, after_step=dying_at(last_step)).destroy(certificate, AT, [subject_id], [])

    assert in_a_child(run) == KILLED


@pytest.mark.parametrize("dumped", [False, True], ids=["log", "dump"])
def test_a_log_older_than_the_keyring_is_refused(keys, logged, log_folder, empty_cluster, dumped):
    facts = seal_people(logged, 4, ("medical",))
    if dumped:
        logged._changes.dump()
    old = shutil.copytree(log_folder, log_folder.with_name("old"))
    logged.destroy(uuid4(), AT, [facts[0].subject_id], [])

    with pytest.raises(KeyringMismatch, match="the keys cluster is older than the keyring"):
        restored(empty_cluster, old)

    assert not any(rows(empty_cluster).values())
    restored(empty_cluster, log_folder)
    assert all_open(empty_cluster.open(changes=log_folder), facts[1:])


def test_a_keyring_older_than_the_log_is_refused(keys, logged, log_folder, empty_cluster, tmp_path):
    facts = seal_people(logged, 4, ("medical",))
    kept = shutil.copytree(keys.folder, tmp_path / "kept")
    logged.destroy(uuid4(), AT, [facts[0].subject_id], [])

    with keys.restored(kept), pytest.raises(KeyringMismatch, match="the keyring is older"):
        restored(empty_cluster, log_folder)

    assert not any(rows(empty_cluster).values())


def test_a_cluster_that_has_keys_is_left_alone(keys, logged, log_folder):
    facts = seal_people(logged, 2)
    before = rows(keys)

    with pytest.raises(RestoreRefused, match="has keys"):
        restored(keys, log_folder)

    assert rows(keys) == before
    assert all_open(logged, facts)


@pytest.mark.parametrize("destroyed", [True, False])
@pytest.mark.parametrize("at", [0.02, 0.4, 0.7])
def test_a_log_that_is_damaged_inside_is_never_taken_for_whole(keys, logged, log_folder, empty_cluster, at, destroyed):
    """Also where nothing was destroyed after it: no root key tells then that the log ends early."""
    facts = seal_people(logged, 6, ("medical",))
    if destroyed:
        logged.destroy(uuid4(), AT, [facts[0].subject_id], [])
    [file] = log_folder.glob("keys-*.log")
    raw = bytearray(file.read_bytes())
    raw[int(len(raw) * at)] ^= 1
    file.write_bytes(raw)

    with pytest.raises(KeyringMismatch, match=r"damaged: .*keys-00000001.log, from byte \d+ on"):
        restored(empty_cluster, log_folder)

    assert not any(rows(empty_cluster).values())
    assert file.read_bytes() == raw


def test_what_a_torn_append_left_before_a_restore_is_kept_when_the_log_goes_on(keys, logged, log_folder, empty_cluster):
    facts = seal_people(logged, 3, ("medical",))
    [file] = log_folder.glob("keys-*.log")
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0\0\x10\0" + b'{"changes":[[7,')

    restored(empty_cluster, log_folder)
    again = empty_cluster.open(changes=log_folder)
    facts += seal_people(again, 2, ("medical",))

    [kept] = log_folder.glob("keys-00000001.cut-*")
    assert kept.read_bytes() == b"\0\0\x10\0" + b'{"changes":[[7,'
    assert file.read_bytes().startswith(whole)
    assert all_open(empty_cluster.open(changes=log_folder), facts)


def test_it_says_how_far_it_is(keys, logged, log_folder, empty_cluster):
    seal_people(logged, 3)
    moved = []

    found = restored(empty_cluster, log_folder, moved=lambda done, all_: moved.append((done, all_)))

    assert found.epoch == 1
    assert moved[-1] == (found.rows, found.rows)
    assert found.rows == sum(len(of_table) for of_table in rows(empty_cluster).values())


def test_the_log_that_was_kept_up_counts_and_the_backup_s_copy_is_for_when_it_is_lost(
    keys, logged, log_folder, tmp_path
):
    seal_people(logged, 3)
    backup, live = tmp_path / "backup", ChangeFolder(log_folder)
    live.copy(live.end(1), backup)
    at_backup = (backup / "keys-00000001.log").read_bytes()
    seal_people(logged, 2)
    newer = (log_folder / "keys-00000001.log").read_bytes()

    assert restoring.bring_log(log_folder, backup, lost=False)
    assert (log_folder / "keys-00000001.log").read_bytes() == newer
    for _ in range(2):
        assert not restoring.bring_log(tmp_path / "lost", backup, lost=True)
    assert (tmp_path / "lost" / "keys-00000001.log").read_bytes() == at_backup

    (log_folder / "keys-00000001.log").write_bytes(at_backup[:-1])
    with pytest.raises(RestoreRefused, match="older than the backup"):
        restoring.bring_log(log_folder, backup, lost=False)


def test_an_empty_folder_alone_is_not_taken_for_a_lost_log(logged, log_folder, tmp_path):
    seal_people(logged, 1)
    backup, unmounted = tmp_path / "backup", tmp_path / "unmounted"
    live = ChangeFolder(log_folder)
    live.copy(live.end(1), backup)
    unmounted.mkdir()

    with pytest.raises(RestoreRefused, match="is its volume mounted"):
        restoring.bring_log(unmounted, backup, lost=False)
    assert list(unmounted.iterdir()) == []
    assert restoring.log_that_counts(unmounted, backup, lost=True) == backup
    assert list(unmounted.iterdir()) == []


def test_no_log_is_no_backup(empty_cluster, tmp_path):
    (tmp_path / "nothing").mkdir()

    with pytest.raises(KeysUnavailable, match="no key change log"):
        restored(empty_cluster, tmp_path / "nothing")


@pytest.mark.parametrize("step", restoring.STEPS)
def test_killed_at_a_step_of_a_restore(keys, logged, log_folder, empty_cluster, step):
    facts = seal_people(logged, 8)

    def run():
        restored(empty_cluster, log_folder, after_step=lambda done: os._exit(KILLED) if done == step else None)

    assert in_a_child(run) == KILLED

    if step == restoring.COMMITTED:
        with pytest.raises(RestoreRefused):
            restored(empty_cluster, log_folder)
    else:
        assert not any(rows(empty_cluster).values())
        restored(empty_cluster, log_folder)
    assert rows(empty_cluster) == rows(keys)
    assert all_open(empty_cluster.open(changes=log_folder), facts)


def nodes_ever(log_folder):
    """Return every version of every key row that stands anywhere in the log, as nodes."""
    found = []
    for generation in range(1, ChangeFolder(log_folder).last_generation() + 1):
        for frame in ChangeFolder(log_folder).frames(generation):
            written = [frame.content["rows"]] if frame.content.get("relation") == "key_node" else []
            written += [rows for _, relation, _, rows in frame.content.get("changes", []) if relation == "key_node"]
            found += [parsed(row) for page in written for row in page]
    return found


@of_files
def test_nothing_in_the_log_opens_what_was_destroyed_and_the_old_root_key_would(keys, logged, log_folder, tmp_path):
    """Every version of every row the log ever held, against every key that can be had now."""
    facts = seal_people(logged, 12)
    [(installation,)] = keys.sql("SELECT installation_id FROM key_root")
    old_keyring = FileKeyring(shutil.copytree(keys.folder, tmp_path / "kept aside"), installation)
    before = replay(ChangeFolder(log_folder)).rows["key_node"]
    doomed = facts[:2]
    person = doomed[0].subject_id

    logged.destroy(uuid4(), AT, [person], [])

    scopes = {fact.scope_id: KeyScope(fact.subject_id, fact.field.part.category, None, 1) for fact in facts}
    lost = [node for node in nodes_ever(log_folder) if node.node_id in {person, *(fact.scope_id for fact in doomed)}]

    assert len(lost) >= 3
    assert not any(opens(key, node, scopes) for key in keys_of_today(keys, logged) for node in lost)

    then = OpenedTree([parsed(json.loads(row)) for row in before.values()], scopes, old_keyring.load_root)
    for fact in doomed:
        key = event_key(then.key(fact.scope_id), fact.field.binding)
        assert unseal(key, SealedValue.parse(fact.field.part.value), fact.field.binding) == fact.value


def parsed(row) -> Node:
    hidden = {name: bytes.fromhex(row[name][2:]) for name in ("wrapped", "fingerprint")}
    return Node(**{**row, **hidden, "node_id": UUID(row["node_id"]), "parent_id": UUID(row["parent_id"])})
