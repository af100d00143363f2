import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg2
import pytest
from stopped_keyring import StoppedKeyring
from vault_keys import FANOUT, until_waiting
from vault_people import all_open, seal_fact, seal_people

from domain.errors import Fenced
from domain.sealed import KeyScope
from vault.connections import Connections
from vault.tree_rows import share_root
from vault.vault import Vault

AT = datetime(2026, 3, 4, tzinfo=UTC)


def shape(keys):
    """Return (parents over the fan-out, rows wrapped under another version than the parent's, levels)."""
    [(crowded,)] = keys.sql(
        """
        SELECT count(*) FROM (SELECT parent_id FROM key_node WHERE kind <> 'data'
                              GROUP BY parent_id HAVING count(*) > %s) c
        """,
        FANOUT,
    )
    [(stale,)] = keys.sql(
        """
        SELECT count(*) FROM key_node n
        LEFT JOIN key_node p ON p.node_id = n.parent_id LEFT JOIN key_root r ON r.key_id = n.parent_id
        WHERE coalesce(p.version, r.epoch) IS DISTINCT FROM n.parent_version
        """
    )
    [(top,)] = keys.sql("SELECT top_level FROM key_root")
    return crowded, stale, top


def test_one_scope_has_one_id_and_every_difference_another(vault):
    subject, case = uuid4(), uuid4()
    scopes = [
        KeyScope(subject, "medical", None, 1),
        KeyScope(subject, "identity", None, 1),
        KeyScope(subject, "medical", case, 1),
        KeyScope(subject, "medical", None, 2),
        KeyScope(uuid4(), "medical", None, 1),
    ]

    ids = [vault.scope(scope) for scope in scopes]

    assert len(set(ids)) == 5
    assert [vault.scope(scope) for scope in scopes] == ids


def test_the_tree_grows_with_the_people_and_nobody_is_lost(keys, vault):
    facts = []
    tops = []
    for _ in range(3):
        facts += seal_people(vault, 7, ("medical",))
        tops.append(shape(keys)[2])

    assert tops == [2, 2, 3]
    assert shape(keys) == (0, 0, 3)
    assert all_open(keys.open(), facts)


def test_threads_that_ask_at_once_get_one_key(keys, vault):
    scopes = [KeyScope(uuid4(), "medical", None, 1) for _ in range(10)]
    start = threading.Barrier(8)

    def ask(_: int) -> list[UUID]:
        own = keys.open()
        start.wait()
        return [own.scope(scope) for scope in scopes]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert answers == [answers[0]] * 8
    assert len(set(answers[0])) == 10
    assert keys.sql("SELECT kind, count(*) FROM key_node WHERE kind <> 'inner' GROUP BY kind ORDER BY kind") == [
        ("data", 10),
        ("person", 10),
    ]
    assert shape(keys)[:2] == (0, 0)


def _ask(keys, scopes, start, answers) -> None:
    own = keys.open()
    start.wait()
    answers.put([own.scope(scope) for scope in scopes])


def test_processes_that_open_a_new_installation_and_ask_at_once_get_one_key(keys):
    people = [uuid4() for _ in range(6)]
    scopes = [KeyScope(person, category, None, 1) for person in people for category in ("identity", "medical")]
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_ask, args=(keys, scopes, start, answers)) for _ in range(3)]
    for process in processes:
        process.start()

    got = [answers.get(timeout=60) for _ in processes]

    for process in processes:
        process.join()
    assert got == [got[0]] * 3
    assert keys.sql("SELECT count(*) FROM key_scope") == [(12,)]
    assert keys.sql("SELECT count(*) FROM key_node WHERE kind <> 'inner'") == [(18,)]
    assert shape(keys)[:2] == (0, 0)


def test_keys_are_made_and_read_while_others_are_destroyed(keys, vault):
    doomed = [seal_fact(vault, uuid4()) for _ in range(15)]
    problems = []
    over = threading.Event()

    def work() -> list[object]:
        own, made = keys.open(cache_seconds=0), []
        while not over.is_set():
            try:
                made += seal_people(own, 1)
                assert all_open(own, made[-6:])
            except Exception as problem:
                problems.append(problem)
        return made

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(work) for _ in range(3)]
        for fact in doomed:
            vault.destroy(uuid4(), AT, [fact.subject_id], [])
        over.set()
    facts = [fact for worker in workers for fact in worker.result()]

    assert problems == []
    assert len(facts) >= 6
    assert all_open(keys.open(), facts)
    assert shape(keys)[:2] == (0, 0)


def test_new_people_queue_behind_a_destruction_that_waits(keys, vault):
    """Locks of a row alone would let a stream of them pass it by for ever."""
    doomed, newcomer = seal_fact(vault, uuid4()), KeyScope(uuid4(), "medical", None, 1)
    earlier = psycopg2.connect(keys.dsn)
    with earlier.cursor() as cursor:
        share_root(cursor)

    with ThreadPoolExecutor(2) as pool:
        destroyed = pool.submit(vault.destroy, uuid4(), AT, [doomed.subject_id], [])
        until_waiting(keys, "pg_advisory_xact_lock(")
        made = pool.submit(keys.open().scope, newcomer)
        until_waiting(keys, "pg_advisory_xact_lock_shared(")
        earlier.commit()
        assert destroyed.result().scope_ids == [doomed.scope_id]
        assert made.result() == vault.scope(newcomer)

    earlier.close()


def test_a_destroyed_scope_is_never_made_again_and_its_person_goes_on(vault):
    subject = uuid4()
    fact = seal_fact(vault, subject)
    vault.destroy(uuid4(), AT, [], [fact.scope_id])

    with pytest.raises(Fenced) as fenced:
        vault.scope(KeyScope(subject, "medical", None, 1))

    assert fenced.value.fenced == (fact.scope_id,)
    again = seal_fact(vault, subject, engagement=2)
    assert vault.open(again.field) == again.value


def test_a_destroyed_person_gets_no_key_at_all(keys, vault):
    known, unknown = seal_fact(vault, uuid4()).subject_id, uuid4()
    vault.destroy(uuid4(), AT, [known, unknown], [])

    for subject in (known, unknown):
        for scope in (KeyScope(subject, "medical", None, 1), KeyScope(subject, "payment", uuid4(), 9)):
            with pytest.raises(Fenced):
                keys.open().scope(scope)


def test_a_new_key_and_a_destruction_of_the_person_at_once_leave_nothing_behind(keys, vault):
    for _ in range(5):
        subject = seal_fact(vault, uuid4()).subject_id
        start = threading.Barrier(2)

        def ask(person: UUID = subject, gate: threading.Barrier = start) -> UUID | None:
            gate.wait()
            try:
                return vault.scope(KeyScope(person, "payment", None, 1))
            except Fenced:
                return None

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask)
            start.wait()
            vault.destroy(uuid4(), AT, [subject], [])
            made = asked.result()

        rows = vault.scopes_of(subject)
        assert {row.state for row in rows} == {"destroyed"}
        assert made is None or made in {row.scope_id for row in rows}
        assert keys.sql("SELECT count(*) FROM key_node WHERE %s IN (node_id, parent_id)", subject) == [(0,)]


@pytest.mark.parametrize("call", ["sealing", "reading"])
def test_a_rotation_that_passes_between_the_rows_and_the_root_key_is_read_again(keys, vault, call):
    facts = seal_people(vault, 2 * FANOUT, ("medical",))
    mine, doomed = facts[0], facts[FANOUT]
    keyring = StoppedKeyring(
        keys, "load_root", "before", lambda: keys.open().destroy(uuid4(), AT, [doomed.subject_id], [])
    )
    stopped = Vault(Connections(keys.dsn), keyring)

    if call == "reading":
        assert stopped.open(mine.field) == mine.value
    else:
        fact = seal_fact(stopped, mine.subject_id, "payment")
        assert keys.open().open(fact.field) == fact.value

    assert keyring.was_stopped
    assert keys.sql("SELECT epoch FROM key_root") == [(2,)]


def test_the_database_makes_a_new_key_wait_for_a_rotation_of_its_parent(keys, vault):
    """Also where the one that makes the key took no lock."""
    fact = seal_fact(vault, uuid4())
    scope_id = uuid4()
    keys.sql(
        "INSERT INTO key_scope (scope_id, subject_id, category, engagement) VALUES (%s, %s, 'payment', 1)",
        scope_id,
        fact.subject_id,
    )
    rotation = psycopg2.connect(keys.dsn)
    with rotation.cursor() as cursor:
        cursor.execute(
            "UPDATE key_node SET version = version + (kind = 'person')::int, "
            "parent_version = parent_version + (kind = 'data')::int WHERE kind <> 'inner'"
        )

    with ThreadPoolExecutor(1) as pool:
        insert = pool.submit(
            keys.sql,
            "INSERT INTO key_node (node_id, kind, version, parent_id, parent_version, wrapped, fingerprint) "
            "SELECT %s, kind, 1, parent_id, 1, wrapped, sha256('other') FROM key_node WHERE kind = 'data'",
            scope_id,
        )
        until_waiting(keys, "INSERT INTO key_node")
        rotation.commit()
        with pytest.raises(psycopg2.Error) as refused:
            insert.result()

    rotation.close()
    assert refused.value.pgcode == "CKV01"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE key_node SET parent_version = parent_version + 1 WHERE kind = 'data'", "CKV01"),
        ("UPDATE key_node SET parent_id = gen_random_uuid() WHERE kind = 'data'", "CKV01"),
        ("UPDATE key_node SET version = version + 1 WHERE kind = 'person'", "CKV04"),
        ("UPDATE key_root SET epoch = epoch + 1", "CKV04"),
        ("UPDATE key_root SET top_level = top_level + 1", "CKV04"),
        ("UPDATE key_node SET place = place + 1000 WHERE kind = 'person'", "CKV03"),
        ("DELETE FROM key_node WHERE kind = 'data'", "CKV05"),
        ("DELETE FROM key_node WHERE kind = 'inner'", "CKV04"),
        ("TRUNCATE key_node", "CKV06"),
        ("TRUNCATE key_root", "CKV06"),
        ("UPDATE key_scope SET category = 'identity'", "CKV06"),
        ("DELETE FROM key_scope", "CKV06"),
        ("UPDATE destroyed_scope SET destroyed_at = now()", "CKV06"),
        ("DELETE FROM destroyed_person", "CKV06"),
        ("DELETE FROM destruction", "CKV06"),
        ("UPDATE destruction SET finished_at = NULL", "CKV06"),
    ],
)
def test_the_database_refuses_what_breaks_the_tree(shared_keys, shared_vault, statement, code):
    people = [seal_fact(shared_vault, uuid4()) for _ in range(FANOUT + 2)]
    shared_vault.destroy(uuid4(), AT, [people[0].subject_id], [])

    with pytest.raises(psycopg2.Error) as refused:
        shared_keys.sql(statement)

    assert refused.value.pgcode == code
    assert all_open(shared_keys.open(), people[1:])
