"""Races with forgetting, many times each: what comes second is refused, or destroyed with the rest; no key survives."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from vault_keys import Keys
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import Fenced
from domain.sealed import KeyScope
from tests.attacks.conftest import Tell
from vault.vault import Vault

AT = datetime(2026, 3, 4, tzinfo=UTC)
RACES = pytest.mark.parametrize("races", [25, pytest.param(1_000, marks=pytest.mark.faults)])
JITTER_SECONDS = 0.1
"""Of the order of one destruction."""
ALL_OUTCOMES = 1_000
"""So many races see every outcome."""


@dataclass
class Processes:
    """Two vaults of one installation, as two processes would have them, and one that only looks."""

    keys: Keys
    one: Vault
    other: Vault
    looking: Vault


@pytest.fixture
def processes(keys: Keys) -> Iterator[Processes]:
    made = Processes(keys, keys.open(), keys.open(), keys.open(cache_seconds=0))
    yield made
    for vault in (made.one, made.other, made.looking):
        vault.close()


def race(*acts: Callable[[], Any]) -> list[Any]:
    """Do these at the same time, give or take some milliseconds; return what each returned or raised."""
    outcomes: list[Any] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(number: int) -> None:
        barrier.wait()
        time.sleep(random.random() * JITTER_SECONDS)
        try:
            outcomes[number] = acts[number]()
        except Exception as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def assert_nothing_lives_of(keys: Keys, people: list[UUID]) -> None:
    """Make sure that no key row is left of people who were destroyed, and that one root key is left."""
    assert (
        keys.sql("SELECT node_id FROM key_node WHERE node_id = ANY (%s) OR parent_id = ANY (%s)", people, people) == []
    )
    live = (
        "SELECT FROM key_scope s LEFT JOIN destroyed_scope d USING (scope_id) WHERE subject_id = ANY (%s) AND d IS NULL"
    )
    assert keys.sql(live, people) == []
    assert len(keys.roots()) == 1


@RACES
def test_a_new_scope_while_its_person_is_forgotten(processes: Processes, races: int, tell: Tell) -> None:
    neighbours = seal_people(processes.one, 6, ("medical",))
    found: Counter[str] = Counter()
    gone = []
    for _ in range(races):
        fact, certificate = seal_fact(processes.one, uuid4()), uuid4()
        scope = KeyScope(fact.subject_id, "insurance", uuid4(), 1)
        made, destroyed = race(
            lambda scope=scope: processes.one.scope(scope),
            lambda fact=fact, c=certificate: processes.other.destroy(c, AT, [fact.subject_id], []),
        )
        if isinstance(made, Fenced):
            found["refused"] += 1
            assert destroyed.scope_ids == [fact.scope_id]
        else:
            found["destroyed with the rest"] += 1
            assert sorted(destroyed.scope_ids) == sorted([fact.scope_id, made])
        assert all_erased(processes.looking, [fact], certificate)
        gone.append(fact.subject_id)

    assert_nothing_lives_of(processes.keys, gone)
    assert all_open(processes.looking, neighbours)
    assert len(found) == 2 or races < ALL_OUTCOMES, found
    tell(f"{races} races: {dict(found)}; no key left")


@RACES
def test_a_key_made_while_the_tree_rotates(processes: Processes, races: int, tell: Tell) -> None:
    """New people and new scopes of neighbours, made while somebody beside them is forgotten, live on."""
    made, gone = seal_people(processes.one, 6, ("medical",)), []
    for number in range(races):
        doomed, certificate = seal_fact(processes.other, uuid4()), uuid4()
        subject_id = uuid4() if number % 2 else made[number % 6].subject_id
        fact, destroyed = race(
            lambda s=subject_id: seal_fact(processes.one, s, "insurance", uuid4()),
            lambda d=doomed, c=certificate: processes.other.destroy(c, AT, [d.subject_id], []),
        )
        assert destroyed.scope_ids == [doomed.scope_id]
        assert all_open(processes.looking, [fact])
        assert all_erased(processes.looking, [doomed], certificate)
        made.append(fact)
        gone.append(doomed.subject_id)

    assert_nothing_lives_of(processes.keys, gone)
    assert all_open(processes.keys.open(), made)
    tell(f"{races} races: {len(made)} keys live and open, {len(gone)} people are gone")


@RACES
def test_two_neighbours_forgotten_at_once(processes: Processes, races: int, tell: Tell) -> None:
    neighbours = seal_people(processes.one, 6, ("medical",))
    gone, first = [], Counter[int]()
    for _ in range(races):
        pair = seal_people(processes.one, 2, ("medical",))
        certificates = [uuid4(), uuid4()]
        destroyed = race(
            lambda p=pair, c=certificates: processes.one.destroy(c[0], AT, [p[0].subject_id], []),
            lambda p=pair, c=certificates: processes.other.destroy(c[1], AT, [p[1].subject_id], []),
        )
        assert [d.scope_ids for d in destroyed] == [[fact.scope_id] for fact in pair]
        epochs = [(d.root_epoch_before, d.root_epoch_after) for d in destroyed]
        first[epochs.index(min(epochs))] += 1
        assert min(epochs)[1] == max(epochs)[0]
        assert all(all_erased(processes.looking, [f], c) for f, c in zip(pair, certificates, strict=True))
        gone += [fact.subject_id for fact in pair]

    assert_nothing_lives_of(processes.keys, gone)
    assert all_open(processes.keys.open(), neighbours)
    tell(f"{races} races: {len(gone)} people gone; first came one {first[0]}, the other {first[1]} times")
