"""A process that destroys keys is killed at every step; whoever comes next brings it to the same end."""

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import psycopg2
import pytest
from stopped_keyring import StoppedKeyring
from vault_keys import KILLED, dying_at, in_a_child, until_waiting
from vault_people import all_erased, all_open, seal_people

from domain.errors import KeysUnavailable
from tests.keyrings import of_files
from tests.waiting import until
from vault import connections
from vault.destruction_request import DestructionRequest
from vault.forgetting import ROOT_CREATED, STEPS, VERIFIED, Forgetting

AT = datetime(2026, 3, 4, tzinfo=UTC)


def _destroy_and_die(keys, last_step, certificate, subjects, scopes) -> None:
    keys.open(after_step=dying_at(last_step)).destroy(certificate, AT, subjects, scopes)
    os._exit(0)


def started(*arguments):
    process = multiprocessing.get_context("fork").Process(target=_destroy_and_die, args=arguments)
    process.start()
    return process


def killed_after(step, keys, certificate, subjects, scopes=()):
    assert in_a_child(_destroy_and_die, keys, step, certificate, subjects, scopes) == KILLED


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_and_repeated(keys, vault, step):
    facts = seal_people(vault, 12)
    certificate, subjects, scopes = uuid4(), [facts[0].subject_id], [facts[4].scope_id]
    erased = [*facts[:2], facts[4]]
    others = [fact for fact in facts if fact not in erased]
    killed_after(step, keys, certificate, subjects, scopes)

    destruction = keys.open().destroy(certificate, AT, subjects, scopes)

    assert (destruction.root_epoch_before, destruction.root_epoch_after) == (1, 2)
    assert destruction.scope_ids == sorted(fact.scope_id for fact in erased)
    assert len(destruction.fingerprints) == 3
    assert keys.sql("SELECT count(*), count(finished_at) FROM destruction") == [(1, 1)]
    [root] = keys.roots()
    assert root.startswith("root-000000000002-")
    assert all_erased(keys.open(), erased, certificate)
    assert all_open(keys.open(), others)
    assert keys.open().destroy(certificate, AT, subjects, scopes) == destruction


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_and_started_again(keys, vault, step):
    facts = seal_people(vault, 4, ("medical",))
    certificate = uuid4()
    [old] = keys.roots()
    killed_after(step, keys, certificate, [facts[0].subject_id])

    again = keys.open()

    committed = step != ROOT_CREATED
    [root] = keys.roots()
    assert (root != old) is committed
    assert keys.sql("SELECT count(finished_at) FROM destruction") == [(int(committed),)]
    if committed:
        assert all_erased(again, facts[:1], certificate)
    assert all_open(again, facts[1:] if committed else facts)


def test_killed_inside_the_transaction(keys, vault):
    facts = seal_people(vault, 4, ("medical",))
    certificate = uuid4()
    [old] = keys.roots()
    holder = psycopg2.connect(keys.dsn)
    with holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM key_node WHERE node_id = %s FOR SHARE", (str(facts[1].subject_id),))
        process = started(keys, "", certificate, [facts[0].subject_id], [])
        until_waiting(keys, "UPDATE key_node")
        assert len(keys.roots()) == 2
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    holder.close()

    again = keys.open()
    until(lambda: (again._forgetting.resume(), keys.roots() == [old])[1])

    assert all_open(again, facts)
    assert again.destroy(certificate, AT, [facts[0].subject_id], []).scope_ids == [facts[0].scope_id]
    assert all_open(again, facts[1:])


@of_files
def test_killed_between_overwriting_the_old_root_and_removing_it(keys, vault):
    facts = seal_people(vault, 3, ("medical",))
    certificate = uuid4()
    [old] = keys.roots()
    killed_after(VERIFIED, keys, certificate, [facts[0].subject_id])
    path = keys.folder / old
    path.write_bytes(bytes(path.stat().st_size))

    again = keys.open()

    assert old not in keys.roots()
    assert all_erased(again, facts[:1], certificate)
    assert all_open(again, facts[1:])


def test_another_destruction_finishes_the_one_that_was_killed(keys, vault):
    facts = seal_people(vault, 6, ("medical",))
    first, second = uuid4(), uuid4()
    killed_after(VERIFIED, keys, first, [facts[0].subject_id])

    destruction = vault.destroy(second, AT, [facts[1].subject_id], [])

    assert (destruction.root_epoch_before, destruction.root_epoch_after) == (2, 3)
    assert len(keys.roots()) == 1
    assert all_erased(keys.open(), facts[:1], first)
    assert all_erased(keys.open(), facts[1:2], second)
    assert all_open(keys.open(), facts[2:])


def test_a_start_beside_a_destruction_leaves_its_new_root_alone(keys, vault):
    facts = seal_people(vault, 3, ("medical",))

    def start_another(step: str) -> None:
        if step == ROOT_CREATED:
            keys.open().close()
            assert len(keys.roots()) == 2

    destruction = keys.open(after_step=start_another).destroy(uuid4(), AT, [facts[0].subject_id], [])

    assert destruction.scope_ids == [facts[0].scope_id]
    assert all_open(keys.open(), facts[1:])


def test_a_second_destruction_waits_and_then_says_it_cannot(keys, vault, monkeypatch):
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_MS", 400)
    facts = seal_people(vault, 2, ("medical",))
    holder = psycopg2.connect(keys.dsn)
    with holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (0x636B6479,))
        before = time.monotonic()

        with pytest.raises(KeysUnavailable):
            keys.open().destroy(uuid4(), AT, [facts[0].subject_id], [])

    holder.close()
    assert time.monotonic() - before >= 0.4
    assert all_open(vault, facts)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["roots", "create_root", "destroy_root"])
@pytest.mark.parametrize("orphan", [False, True], ids=["", "with an orphan"])
def test_stopped_its_session_ended_and_overtaken_it_destroys_nothing_of_the_others(keys, vault, call, when, orphan):
    facts = seal_people(vault, 6, ("medical",))
    first, second = uuid4(), uuid4()
    if orphan:
        killed_after(ROOT_CREATED, keys, uuid4(), [facts[0].subject_id])

    def overtake() -> None:
        keys.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        for fact in facts[1:3]:
            keys.open().destroy(second if fact is facts[1] else uuid4(), AT, [fact.subject_id], [])

    keyring = StoppedKeyring(keys, call, when, overtake)
    forgetting = Forgetting(connections.Connections(keys.dsn), keyring, lambda step: None)
    with suppress(KeysUnavailable):
        forgetting.destroy([DestructionRequest(first, AT, frozenset([facts[0].subject_id]), frozenset())])

    after = keys.open()
    assert keyring.was_stopped
    assert len(keys.roots()) == 1
    assert all_erased(after, facts[1:2], second)
    assert all_open(after, facts[3:])
    assert after.destroy(first, AT, [facts[0].subject_id], []).scope_ids == [facts[0].scope_id]
    assert all_open(after, facts[3:])
