"""Recalling keys: processes that keep them let go and say so; one that is silent loses its lease."""

import os
import signal
import threading
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from uuid import uuid4

import psycopg2
import pytest
from vault_people import all_open, seal_fact, seal_people

from domain.errors import Fenced, KeysUnavailable
from domain.sealed import Erased
from tests.waiting import until
from vault import vault as vault_module
from vault.destruction_request import DestructionRequest
from vault.recall import Recalled

AT = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def holders(keys):
    """Give ``holders(count)``: vaults that keep keys, closed at the end."""
    opened = []

    def make(count):
        opened.extend(keys.holding() for _ in range(count))
        return opened[-count:]

    yield make
    for vault in opened:
        vault.close()


def of_person(fact):
    return DestructionRequest(uuid4(), AT, frozenset([fact.subject_id]), frozenset())


def of_scope(fact):
    return DestructionRequest(uuid4(), AT, frozenset(), frozenset([fact.scope_id]))


def test_everybody_lets_go_and_nobody_is_handed_a_recalled_key(keys, vault, holders):
    facts = seal_people(vault, 3)
    readers = holders(3)
    assert all(all_open(reader, facts) for reader in readers)
    whole, single = of_person(facts[0]), of_scope(facts[2])

    began = time.monotonic()
    assert vault.recall([whole, single]) == Recalled(acknowledged=3, unanswered=0)
    took = time.monotonic() - began

    # The keys themselves are still there: none is destroyed.
    assert keys.sql("SELECT count(*) FROM key_node WHERE kind = 'data'") == [(6,)]
    for reader in (*readers, vault, keys.open()):
        assert [reader.open(fact.field) for fact in facts[:3]] == [
            Erased(facts[0].scope_id, AT, whole.certificate_id),
            Erased(facts[1].scope_id, AT, whole.certificate_id),
            Erased(facts[2].scope_id, AT, single.certificate_id),
        ]
        assert all_open(reader, facts[3:])
        with pytest.raises(Fenced):
            reader.seal(facts[0].scope_id, "identity", facts[0].field.binding, {})
    assert took < 2.0
    assert {row.state for row in vault.scopes_of(facts[0].subject_id)} == {"live"}


def test_what_is_recalled_is_destroyed_as_what_is_not(keys, vault, holders):
    facts = seal_people(vault, 3, ("medical",))
    [reader] = holders(1)
    request = of_person(facts[0])
    vault.recall([request])

    outcome = vault.destroy_many([request])[request.certificate_id]

    assert outcome.scope_ids == [facts[0].scope_id]
    assert reader.open(facts[0].field) == Erased(facts[0].scope_id, AT, request.certificate_id)
    assert all_open(reader, facts[1:])


def test_a_recall_can_be_repeated_and_keeps_its_first_certificate(vault, keys, holders):
    fact, other = seal_people(vault, 2, ("medical",))
    holders(2)
    first, second = of_person(fact), of_scope(fact)

    answers = [vault.recall([first]), vault.recall([first]), vault.recall([second]), vault.recall([])]

    assert answers == [Recalled(2, 0)] * 4
    assert vault.open(fact.field).certificate_id == first.certificate_id
    assert vault.open(other.field) == other.value
    assert keys.sql("SELECT count(*) FROM recalled_scope") == [(1,)]


def test_recalls_side_by_side_are_each_obeyed(vault, holders):
    facts = seal_people(vault, 8, ("medical",))
    readers = holders(2)
    assert all(all_open(reader, facts) for reader in readers)
    answers = []
    threads = [
        threading.Thread(target=lambda fact=fact: answers.append(vault.recall([of_person(fact)]))) for fact in facts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [Recalled(2, 0)] * 8
    assert all(isinstance(reader.open(fact.field), Erased) for fact in facts for reader in readers)


def _hold_until_told(keys, fields, cached, stop):
    vault = keys.holding()
    vault.open_many(fields)
    cached.set()
    stop.wait()
    answers = [type(answer).__name__ for answer in vault.open_many(fields)]
    os._exit(0 if answers == ["Erased", "dict"] else 1)


@pytest.fixture
def another(keys):
    """Give ``another(fields)``: a process of its own that has these keys in memory and reads them again when told."""
    context = get_context("fork")
    cached, stop = context.Event(), context.Event()
    started = []

    def start(fields):
        process = context.Process(target=_hold_until_told, args=(keys, fields, cached, stop))
        process.start()
        started.append(process)
        assert cached.wait(20)
        return process, stop

    yield start
    for process in started:
        process.kill()
        process.join()


def test_a_process_that_is_stopped_loses_its_lease_and_reads_nothing_old_when_it_wakes(keys, vault, holders, another):
    mine, other = seal_people(vault, 2, ("medical",))
    process, stop = another([mine.field, other.field])
    holders(1)
    os.kill(process.pid, signal.SIGSTOP)
    request = of_person(mine)

    began = time.monotonic()
    recalled = vault.recall([request])
    took = time.monotonic() - began
    vault.destroy_many([request])
    os.kill(process.pid, signal.SIGCONT)
    stop.set()
    process.join(20)

    assert recalled == Recalled(acknowledged=1, unanswered=1)
    assert took < 3.5
    assert process.exitcode == 0


def test_a_killed_process_is_counted_while_it_could_still_have_kept_a_key(keys, vault, holders, another):
    mine, other = seal_people(vault, 2, ("medical",))
    process, _ = another([mine.field, other.field])
    process.kill()
    process.join()
    holders(1)

    assert vault.recall([of_person(mine)]) == Recalled(1, 1)
    keys.sql("UPDATE key_holder SET seen_at = seen_at - interval '31 s' WHERE recalled = 0")
    assert vault.recall([of_person(other)]) == Recalled(1, 0)
    assert keys.sql("SELECT count(*) FROM key_holder") == [(1,)]


def test_one_that_is_closed_is_waited_for_by_nobody(keys, vault, holders):
    fact = seal_fact(vault, uuid4())
    [reader] = holders(1)
    reader.close()

    assert vault.recall([of_person(fact)]) == Recalled(0, 0)


def test_one_that_is_closed_leaves_no_descriptor_open(keys):
    keys.holding().close()
    before = set(os.listdir("/proc/self/fd"))

    keys.holding().close()

    assert set(os.listdir("/proc/self/fd")) <= before


def test_one_that_is_no_longer_entered_lets_go_and_enters_itself_again(keys, vault, holders):
    fact = seal_fact(vault, uuid4())
    [reader] = holders(1)
    assert reader.open(fact.field) == fact.value
    keys.sql("UPDATE key_holder SET left_at = now()")

    until(lambda: keys.sql("SELECT count(*) FROM key_holder WHERE left_at IS NULL") == [(1,)], 10)

    until(reader.holds_keys)
    assert len(reader._cache._keys) == 0
    assert vault.recall([of_person(fact)]).acknowledged == 1


def test_without_a_lease_nothing_is_kept(vault):
    fact = seal_fact(vault, uuid4())

    assert vault.open(fact.field) == fact.value

    assert not vault.holds_keys()
    assert len(vault._cache._keys) == 0


@pytest.mark.parametrize("holding", [True, False], ids=["a holder", "one that keeps nothing"])
def test_a_call_stopped_between_the_key_and_the_answer_looks_again(keys, vault, monkeypatch, holding):
    """Recalled, or for longer than a lease out of touch: what it had opened is not given out."""
    fact = seal_fact(vault, uuid4())
    reader = keys.holding() if holding else keys.open()
    monkeypatch.setattr(vault_module, "LEASE_SECONDS", 0.3)
    genuine, request = vault_module.unseal, of_person(fact)

    def recalled_meanwhile(*arguments):
        value = genuine(*arguments)
        monkeypatch.setattr(vault_module, "unseal", genuine)
        vault.recall([request])
        vault.destroy_many([request])
        time.sleep(0.4)
        return value

    monkeypatch.setattr(vault_module, "unseal", recalled_meanwhile)
    assert reader.open(fact.field) == Erased(fact.scope_id, AT, request.certificate_id)
    reader.close()


def test_one_that_never_comes_to_rest_is_an_outage(vault, monkeypatch):
    fact = seal_fact(vault, uuid4())
    monkeypatch.setattr(vault_module, "LEASE_SECONDS", 0.0)

    with pytest.raises(KeysUnavailable):
        vault.open(fact.field)


def test_a_recall_is_not_taken_back(keys, vault):
    fact = seal_fact(vault, uuid4())
    vault.recall([of_person(fact)])

    for statement in ("DELETE FROM recalled_scope", "UPDATE recalled_scope SET number = 0"):
        with pytest.raises(psycopg2.Error, match="append-only"):
            keys.sql(statement)
