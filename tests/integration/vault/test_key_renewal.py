"""All keys above the data keys renewed: everything opens, nothing of before does, and a kill anywhere costs nothing."""

import shutil
import threading
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from key_rows import all_rows, keys_of_today, opens
from vault_keys import KILLED, dying_at, in_a_child
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import KeysUnavailable, Tampered
from tests.keyrings import of_files
from vault import forgetting, renewal
from vault.change_file import ChangeFolder
from vault.change_replay import replay
from vault.file_keyring import FileKeyring
from vault.nodes import OpenedTree

AT = datetime(2026, 3, 4, tzinfo=UTC)
LATER = datetime(2026, 4, 4, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(renewal, "PEOPLE_AT_ONCE", 3)


def fingerprints(keys, kinds):
    return dict(keys.sql("SELECT node_id, fingerprint::text FROM key_node WHERE kind = ANY (%s)", list(kinds)))


def test_every_node_has_a_new_key_and_every_data_key_is_the_same(keys, logged):
    facts = seal_people(logged, 21)
    above, data = fingerprints(keys, ["inner", "person"]), fingerprints(keys, ["data"])
    moved = []

    renewed = logged.renew_all(AT, lambda done, all_: moved.append((done, all_)))

    assert (renewed.nodes, renewed.epoch) == (len(above), 2)
    assert moved[-1] == (len(above), len(above))
    after = fingerprints(keys, ["inner", "person"])
    assert after.keys() == above.keys()
    assert not set(after.values()) & set(above.values())
    assert fingerprints(keys, ["data"]) == data
    assert len(keys.roots()) == 1
    assert all_open(keys.open(), facts)
    assert keys.sql("SELECT count(*) FROM key_renewal WHERE finished_at IS NULL") == [(0,)]


@of_files
def test_what_was_copied_before_opens_nothing_written_after(keys, logged, tmp_path, log_folder):
    """Somebody had the keyring and the cluster, all of it, at one moment; then all keys were renewed."""
    facts = seal_people(logged, 6)
    [(installation,)] = keys.sql("SELECT installation_id FROM key_root")
    stolen = FileKeyring(shutil.copytree(keys.folder, tmp_path / "stolen"), installation)
    old, scopes = all_rows(keys, logged)
    then = OpenedTree(old, scopes, stolen.load_root)
    old_keys = [then.key(node.node_id) for node in old if node.kind != "data"]
    old_keys += [stolen.load_root(ref) for ref in stolen.roots()]
    assert sum(opens(key, node, scopes) for key in old_keys for node in old) == len(old)

    logged.renew_all(AT)
    new, scopes = all_rows(keys, logged)

    assert not any(opens(key, node, scopes) for key in old_keys for node in new)
    assert not any(opens(key, node, scopes) for key in keys_of_today(keys, logged) for node in old)
    assert all_open(keys.open(changes=log_folder), facts)


@pytest.mark.parametrize(
    ("step", "nth"), [*((step, 1) for step in (*renewal.STEPS, *forgetting.STEPS)), (renewal.BATCH_RENEWED, 4)]
)
def test_killed_at_a_step_and_started_again(keys, logged, log_folder, step, nth):
    facts = seal_people(logged, 14)
    above = fingerprints(keys, ["inner", "person"])

    def run():
        keys.open(changes=log_folder, after_step=dying_at(step, nth)).renew_all(AT)

    assert in_a_child(run) == KILLED
    assert all_open(keys.open(changes=log_folder), facts)

    renewed = keys.open(changes=log_folder).renew_all(LATER, go_on=True)

    twice = step == renewal.RENEWAL_RECORDED
    assert (renewed.nodes, renewed.epoch) == (len(above), 3 if twice else 2)
    assert renewed.since == (LATER if twice else AT)
    assert not set(fingerprints(keys, ["inner", "person"]).values()) & set(above.values())
    assert len(keys.roots()) == 1
    assert all_open(keys.open(changes=log_folder), facts)
    held = replay(ChangeFolder(log_folder)).rows["key_node"]
    assert {UUID(node_id) for node_id in held} == {row[0] for row in keys.sql("SELECT node_id FROM key_node")}


@pytest.mark.parametrize(("step", "nth"), [(renewal.BATCH_RENEWED, 2), (renewal.ROOT_REPLACED, 1)])
def test_one_that_is_begun_anew_leaves_no_key_that_an_unfinished_one_had_made(keys, logged, log_folder, step, nth):
    """Between the two somebody read the memory of a process: the keys of all nodes as they were then."""
    facts = seal_people(logged, 12, ("medical",))

    def run():
        keys.open(changes=log_folder, after_step=dying_at(step, nth)).renew_all(AT)

    assert in_a_child(run) == KILLED
    read = fingerprints(keys, ["inner", "person"])

    renewed = logged.renew_all(LATER)

    now = fingerprints(keys, ["inner", "person"])
    assert now.keys() == read.keys()
    assert not set(now.values()) & set(read.values())
    assert (renewed.nodes, renewed.since) == (len(read), LATER)
    assert all_open(keys.open(changes=log_folder), facts)


def test_one_that_is_under_way_ends_when_another_is_begun_anew(keys, logged, log_folder):
    facts = seal_people(logged, 12, ("medical",))
    begun = []

    def begin_anew(done):
        if done == renewal.BATCH_RENEWED and not begun:
            begun.append(keys.open(changes=log_folder).renew_all(LATER))

    with pytest.raises(KeysUnavailable, match="begun it anew"):
        keys.open(changes=log_folder, after_step=begin_anew).renew_all(AT)

    assert begun[0].since == LATER
    assert all_open(keys.open(changes=log_folder), facts)
    assert len(keys.roots()) == 1


def test_people_are_added_and_destroyed_meanwhile(keys, logged, log_folder):
    facts = seal_people(logged, 30)
    certificate, new, problems, stop = uuid4(), [], [], threading.Event()

    def work():
        try:
            vault = keys.open(changes=log_folder)
            while not stop.is_set():
                new.append(seal_fact(vault, uuid4()))
            vault.destroy(certificate, AT, [facts[0].subject_id], [facts[3].scope_id])
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    logged.renew_all(AT)
    stop.set()
    thread.join()
    again = keys.open(changes=log_folder)

    assert problems == []
    assert new
    gone = [*facts[:2], facts[3]]
    assert all_erased(again, gone, certificate)
    assert all_open(again, [fact for fact in [*facts, *new] if fact not in gone])
    assert len(keys.roots()) == 1


def test_a_key_that_does_not_open_stops_it_before_any_root_key_is_destroyed(keys, logged):
    facts = seal_people(logged, 5, ("medical",))
    roots = keys.roots()
    bad = facts[4].scope_id
    flipped = "UPDATE key_node SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) WHERE node_id = %s"
    keys.sql(flipped, bad, by_hand=True)

    with pytest.raises(Tampered):
        logged.renew_all(AT)

    assert keys.roots() == roots
    assert all_open(keys.open(), facts[:4])
    keys.sql(flipped, bad, by_hand=True)
    logged.renew_all(AT)
    assert all_open(keys.open(), facts)
