"""The key change log holds every change before anything relies on it, whoever made it and whoever is killed."""

import json
import multiprocessing
import os
import threading
from datetime import UTC, datetime
from uuid import uuid4

import psycopg2
import pytest
from vault_keys import KILLED, in_a_child
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import KeyringMismatch, KeysUnavailable
from domain.sealed import KeyScope
from vault import change_file, forgetting
from vault.change_file import ChangeFolder, Mark
from vault.change_log import APPENDED, DUMP_STEPS, STEPS, ChangeLog
from vault.change_replay import replay

AT = datetime(2026, 3, 4, tzinfo=UTC)
TABLES = {
    "key_root": "one",
    "key_scope": "scope_id",
    "key_node": "node_id",
    "destruction": "certificate_id",
    "destroyed_person": "subject_id",
    "destroyed_scope": "scope_id",
    "suppression": "mac",
}


def in_cluster(keys):
    """Return all key rows as the cluster has them now."""
    found = {}
    for table, key in TABLES.items():
        rows = keys.sql(f"SELECT {key}::text, to_jsonb(t)::text FROM {table} t")
        found[table] = {name: json.loads(row) for name, row in rows}
    return found


def in_log(log_folder):
    """Return all key rows as the log has them."""
    return {
        table: {("true" if key == "True" else key): json.loads(row) for key, row in rows.items()}
        for table, rows in replay(ChangeFolder(log_folder)).rows.items()
    }


def killed(step, keys, log_folder, work):
    """Do some work in a process that dies after a step of it (not while it opens the vault)."""
    opened = []

    def die(done):
        if opened and done == step:
            os._exit(KILLED)

    def run():
        vault = keys.open(changes=log_folder, after_step=die)
        opened.append(vault)
        work(vault)
        os._exit(0)

    assert in_a_child(run) == KILLED


def test_a_new_key_is_in_the_log_before_its_scope_is_known(keys, logged, log_folder):
    person = uuid4()

    scope_id = logged.scope(KeyScope(person, "medical", None, 1))

    found = in_log(log_folder)
    assert {str(person), str(scope_id)} <= found["key_node"].keys()
    assert found["key_scope"][str(scope_id)]["category"] == "medical"
    assert found == in_cluster(keys)


def test_the_log_is_the_cluster_after_a_growing_tree_and_destructions(keys, logged, log_folder):
    facts = seal_people(logged, 40)

    logged.destroy(uuid4(), AT, [facts[0].subject_id], [facts[5].scope_id])
    logged.destroy(uuid4(), AT, [facts[50].subject_id], [])

    found = in_log(log_folder)
    assert found == in_cluster(keys)
    assert len(found["destroyed_scope"]) == 5
    assert [(replay(ChangeFolder(log_folder)).next_place - 1,)] == keys.sql("SELECT last_value FROM person_place")


def test_a_key_of_a_process_that_died_before_logging_it_is_logged_by_whoever_uses_it(keys, logged, log_folder):
    scope = KeyScope(uuid4(), "medical", None, 1)
    unlogged = keys.open().scope(scope)
    assert str(unlogged) not in in_log(log_folder)["key_node"]

    assert logged.scope(scope) == unlogged

    assert in_log(log_folder) == in_cluster(keys)


def test_rows_are_in_the_log_before_the_old_root_key_is_destroyed(keys, logged, log_folder):
    facts = seal_people(logged, 6, ("medical",))
    seen = []

    def look(step):
        if step == forgetting.CHANGES_LOGGED:
            seen.append((in_log(log_folder) == in_cluster(keys), len(keys.roots())))

    keys.open(changes=log_folder, after_step=look).destroy(uuid4(), AT, [facts[0].subject_id], [])

    assert seen == [(True, 2)]


def test_no_root_key_is_destroyed_while_the_log_cannot_be_written(keys, logged, log_folder):
    facts = seal_people(logged, 3, ("medical",))
    before = keys.roots()
    certificate = uuid4()
    whole = log_folder.rename(log_folder.with_name("away"))
    log_folder.write_text("a file where the log_folder was")

    with pytest.raises(KeysUnavailable, match="cannot be written"):
        logged.destroy(certificate, AT, [facts[0].subject_id], [])
    with pytest.raises(KeysUnavailable, match="cannot be written"):
        logged.scope(KeyScope(uuid4(), "medical", None, 1))

    assert keys.roots()[:1] == before
    log_folder.unlink()
    whole.rename(log_folder)
    logged.destroy(certificate, AT, [facts[0].subject_id], [])
    assert len(keys.roots()) == 1
    assert keys.roots() != before
    assert all_erased(logged, facts[:1], certificate)
    assert in_log(log_folder) == in_cluster(keys)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_of_an_append(keys, logged, log_folder, step):
    facts = seal_people(logged, 4, ("medical",))
    killed(step, keys, log_folder, lambda vault: seal_people(vault, 1))

    assert all_open(logged, facts)
    more = seal_people(logged, 3)

    assert in_log(log_folder) == in_cluster(keys)
    assert all_open(keys.open(changes=log_folder), more)
    assert keys.sql("SELECT count(*) FROM key_change") == [(0,)]


@pytest.mark.parametrize("step", [*forgetting.STEPS, APPENDED])
def test_killed_at_a_step_of_a_destruction(keys, logged, log_folder, step):
    facts = seal_people(logged, 6, ("medical",))
    certificate = uuid4()
    killed(step, keys, log_folder, lambda vault: vault.destroy(certificate, AT, [facts[0].subject_id], []))

    again = keys.open(changes=log_folder)
    again.destroy(certificate, AT, [facts[0].subject_id], [])

    assert in_log(log_folder) == in_cluster(keys)
    assert all_erased(again, facts[:1], certificate)
    assert all_open(again, facts[1:])


@pytest.mark.parametrize("step", DUMP_STEPS)
def test_killed_at_a_step_of_a_dump(keys, logged, log_folder, step):
    facts = seal_people(logged, 5)

    def dump(vault):
        vault._changes.dump()

    killed(step, keys, log_folder, dump)

    facts += seal_people(logged, 2)
    assert in_log(log_folder) == in_cluster(keys)
    assert logged._changes.dump().generation == (2 if step == "dump written" else 3)
    assert in_log(log_folder) == in_cluster(keys)
    assert all_open(keys.open(changes=log_folder), facts)


@pytest.mark.parametrize("cut", [1, 35, 200])
def test_a_torn_tail_is_cut_off_and_written_again(keys, logged, log_folder, cut):
    """The commit that marks the log's length was lost with a crash of the cluster, and the file's last bytes, too."""
    seal_people(logged, 2)
    marked = keys.sql("SELECT length, chain FROM key_log")
    notes = keys.sql("SELECT count(*) FROM key_change")
    assert notes == [(0,)]
    killed(APPENDED, keys, log_folder, lambda vault: seal_people(vault, 1))
    assert keys.sql("SELECT length, chain FROM key_log") == marked
    [file] = log_folder.glob("keys-*.log")
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])

    more = seal_people(logged, 2)

    assert in_log(log_folder) == in_cluster(keys)
    assert all_open(keys.open(changes=log_folder), more)


def test_many_processes_and_threads_append_at_once(keys, logged, log_folder):
    def work():
        vault = keys.open(changes=log_folder)
        threads = [threading.Thread(target=seal_people, args=(vault, 5)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)

    processes = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    facts = seal_people(logged, 5)
    logged.destroy(uuid4(), AT, [facts[0].subject_id], [])
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    logged.scope(KeyScope(uuid4(), "medical", None, 1))
    found = in_log(log_folder)
    assert found == in_cluster(keys)
    assert len(found["key_scope"]) == 3 * 4 * 5 * 2 + 10 + 1


def copied(keys, prefix):
    """Keep a copy of every table of the keys cluster aside; return what puts it back."""
    tables = [*reversed(TABLES), "key_log", "key_change"]
    for table in tables:
        keys.sql(f"CREATE TABLE {prefix}_{table} AS SELECT * FROM {table}")

    def put_back():
        connection = psycopg2.connect(keys.dsn)
        with connection, connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                cursor.execute(f"DELETE FROM {table}")
            for table in reversed(tables):
                cursor.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {prefix}_{table}")
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        connection.close()

    return put_back


def test_a_cluster_older_than_its_log_is_refused(keys, logged, log_folder):
    seal_people(logged, 2)
    put_back = copied(keys, "old")
    seal_fact(logged, uuid4())
    put_back()

    with pytest.raises(KeyringMismatch, match="older than its key change log"):
        keys.open(changes=log_folder)
    with pytest.raises(KeyringMismatch, match="older than its key change log"):
        logged.scope(KeyScope(uuid4(), "medical", None, 1))


def test_a_cluster_older_than_the_newest_generation_is_refused(keys, logged, log_folder):
    seal_people(logged, 2)
    put_back = copied(keys, "old")
    logged._changes.dump()
    put_back()

    with pytest.raises(KeyringMismatch, match="older than its key change log"):
        keys.open(changes=log_folder)


def test_a_log_that_lost_its_end_is_refused_until_it_is_begun_anew(keys, logged, log_folder):
    facts = seal_people(logged, 2)
    [file] = log_folder.glob("keys-*.log")
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(KeyringMismatch, match="lost its end"):
        keys.open(changes=log_folder)

    log = ChangeLog(keys.dsn, log_folder)
    log.dump(lost=True)
    log.close()
    assert in_log(log_folder) == in_cluster(keys)
    assert all_open(keys.open(changes=log_folder), facts)


def test_an_empty_folder_is_an_outage(keys, logged, log_folder):
    log_folder.rename(log_folder.with_name("not mounted"))

    with pytest.raises(KeysUnavailable, match="is its volume mounted"):
        keys.open(changes=log_folder)


def test_a_log_of_other_keys_is_refused(keys, logged, log_folder):
    keys.sql("DELETE FROM key_log")

    with pytest.raises(KeyringMismatch, match="log of other keys"):
        keys.open(changes=log_folder)


def test_a_cluster_that_lost_the_mark_s_commit_goes_on_without_a_gap(keys, logged, log_folder):
    """What an asynchronous commit may lose in a crash: the notes wait again, the file has them already."""
    [(length, chain)] = keys.sql("SELECT length, chain FROM key_log")
    facts = seal_people(logged, 1, ("medical",))
    frames = list(ChangeFolder(log_folder).frames(1, Mark(1, length, bytes(chain))))
    notes = [change for frame in frames for change in frame.content["changes"]]
    keys.sql("UPDATE key_log SET length = %s, chain = %s", length, chain)
    for seq, relation, gone, rows in notes:
        keys.sql(
            "INSERT INTO key_change (seq, relation, gone, rows) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s)",
            *(seq, relation, gone, json.dumps(rows)),
        )
    length = (log_folder / "keys-00000001.log").stat().st_size

    again = keys.open(changes=log_folder)

    assert all_open(again, facts)
    assert (log_folder / "keys-00000001.log").stat().st_size == length
    assert keys.sql("SELECT count(*) FROM key_change") == [(0,)]
    assert keys.sql("SELECT length FROM key_log") == [(length,)]
    assert len(notes) >= 3


def test_a_process_that_holds_the_log_is_named(keys, logged, log_folder, monkeypatch):
    monkeypatch.setattr(change_file, "LOCK_SECONDS", 0.2)

    with ChangeFolder(log_folder).alone(), pytest.raises(KeysUnavailable, match="is one stopped"):
        logged.scope(KeyScope(uuid4(), "medical", None, 1))
