"""Any order of writing, reading, forgetting, rotating and starting again does what a simple model says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from vault_keys import Keys, new_installation
from vault_people import SealedFact, seal_fact

from domain.errors import Fenced
from domain.sealed import Erased, KeyScope
from tests.attacks.conftest import Tell

AT = datetime(2026, 3, 4, tzinfo=UTC)
PEOPLE = 7
SCOPES = st.sampled_from([("identity", 0), ("medical", 0), ("medical", 1), ("insurance", 1)])
WHO = st.integers(0, PEOPLE - 1)
INDEX = st.integers(0, 10**6)


class KeysMachine(RuleBasedStateMachine):
    """The vault on a real keys cluster beside a model: what was sealed, and which scopes and people are gone."""

    def __init__(self, keys: Keys, done: list[str]) -> None:
        super().__init__()
        self._keys = keys
        self._done = done
        self._people = [uuid4() for _ in range(PEOPLE)]
        self._cases = [None, uuid4()]
        self._facts: list[SealedFact] = []
        self._scopes: dict[KeyScope, UUID] = {}
        self._gone_scopes: dict[UUID, UUID] = {}
        self._gone_people: set[UUID] = set()
        self._asked: list[tuple[UUID, list[UUID], list[UUID], object]] = []

    @initialize()
    def start(self) -> None:
        self._vault = self._keys.open()
        self._other = self._keys.open(cache_seconds=0)

    @rule(who=WHO, scope=SCOPES)
    def write(self, who: int, scope: tuple[str, int]) -> None:
        self._done.append("write")
        subject_id, (category, case) = self._people[who], scope
        key_scope = KeyScope(subject_id, category, self._cases[case], 1)
        if subject_id in self._gone_people or self._scopes.get(key_scope) in self._gone_scopes:
            with pytest.raises(Fenced):
                seal_fact(self._vault, subject_id, category, self._cases[case])
            return
        fact = seal_fact(self._vault, subject_id, category, self._cases[case])
        assert self._scopes.setdefault(key_scope, fact.scope_id) == fact.scope_id
        self._facts.append(fact)

    @precondition(lambda self: self._facts)
    @rule(index=INDEX)
    def read(self, index: int) -> None:
        self._done.append("read")
        fact = self._facts[index % len(self._facts)]
        for vault in (self._vault, self._other):
            self._compare(fact, vault.open(fact.field))

    @rule(who=st.lists(WHO, min_size=1, max_size=3, unique=True))
    def forget_people(self, who: list[int]) -> None:
        self._destroy([self._people[number] for number in who], [])

    @precondition(lambda self: self._scopes)
    @rule(index=INDEX)
    def forget_scope(self, index: int) -> None:
        self._destroy([], [sorted(self._scopes.values())[index % len(self._scopes)]])

    @rule()
    def rotate(self) -> None:
        self._destroy([], [])

    @precondition(lambda self: self._asked)
    @rule(index=INDEX)
    def ask_again(self, index: int) -> None:
        """The same certificate again has the same outcome, and does nothing."""
        self._done.append("ask again")
        certificate, people, scopes, outcome = self._asked[index % len(self._asked)]
        assert self._other.destroy(certificate, AT, people, scopes) == outcome

    @rule()
    def start_again(self) -> None:
        self._done.append("start again")
        self._vault.close()
        self._vault = self._keys.open()

    @invariant()
    def one_root(self) -> None:
        assert len(self._keys.roots()) == 1

    def teardown(self) -> None:
        for fact in self._facts:
            self._compare(fact, self._other.open(fact.field))
        for subject_id in self._people:
            states = {row.scope_id: row.state for row in self._other.scopes_of(subject_id)}
            own = [i for scope, i in self._scopes.items() if scope.subject_id == subject_id]
            assert states == {i: "destroyed" if i in self._gone_scopes else "live" for i in own}
        self._vault.close()
        self._other.close()

    def _destroy(self, people: list[UUID], scopes: list[UUID]) -> None:
        self._done.append("forget" if people or scopes else "rotate")
        certificate = uuid4()
        outcome = self._vault.destroy(certificate, AT, people, scopes)
        lost = {i for scope, i in self._scopes.items() if scope.subject_id in people or i in scopes}
        lost -= self._gone_scopes.keys()
        assert set(outcome.scope_ids) == lost
        self._gone_scopes |= dict.fromkeys(lost, certificate)
        self._gone_people |= set(people)
        self._asked.append((certificate, people, scopes, outcome))

    def _compare(self, fact: SealedFact, answer: object) -> None:
        certificate = self._gone_scopes.get(fact.scope_id)
        if certificate is None:
            assert answer == fact.value
        else:
            assert isinstance(answer, Erased)
            assert (answer.scope_id, answer.certificate_id) == (fact.scope_id, certificate)


@pytest.mark.parametrize(
    ("examples", "steps"), [(12, 25), pytest.param(100, 50, marks=pytest.mark.faults)], ids=["some", "many"]
)
def test_any_order(vault_database: str, tmp_path: Path, examples: int, steps: int, tell: Tell) -> None:
    done: list[str] = []

    def machine() -> KeysMachine:
        return KeysMachine(new_installation(vault_database, tmp_path / uuid4().hex), done)

    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(machine, settings=chosen)
    counts = {name: done.count(name) for name in sorted(set(done))}
    assert counts.keys() >= {"write", "read", "forget"}
    tell(f"{examples} runs of up to {steps} steps on a real keys cluster: {counts}")
