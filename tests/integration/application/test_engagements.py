"""Re-engagement (E15, E16): new data goes under new keys, what was erased stays erased, and nobody is linked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from application import erasure
from application.service import Service
from application.unit_of_work import UnitOfWork
from domain.errors import ConcurrencyConflict, Fenced, RuleRefused
from domain.sealed import Erased, KeyScope
from domain.subject import Subject
from tests.integration.application.made_people import INTAKE, MANAGER, OFFICER, RIGHTS, Made, body
from tests.new_people import new_person


class Person(Made):
    """A person who can be erased and engage once more."""

    def engage(self, **identity: Any) -> int:
        return self.do(INTAKE, "start_engagement", new_person(**identity), subject_id=self.subject).body["engagement"]

    def erase(self, scope: dict[str, Any] | None = None) -> str:
        request = self.approved_erasure(scope)
        self.run_saga(request)
        return request

    def new_case(self) -> str:
        case = self.do(INTAKE, "open_case", body("open_case", subject_id=self.subject)).body["id"]
        self.do(INTAKE, "submit_intake", case_id=case)
        return case

    def scopes(self) -> dict[tuple[str, int, bool], str]:
        """Return (category, engagement, is it of the first case) → state."""
        return {
            (row.scope.category, row.scope.engagement, row.scope.case_id == UUID(self.case)): row.state
            for row in self.service.vault.scopes_of(UUID(self.subject))
        }

    def identity(self) -> Any:
        work = UnitOfWork(self.service.resources, self.service._system_context())
        field = work.load(Subject, UUID(self.subject)).identity
        assert field is not None
        return self.service.vault.open(field)


@pytest.fixture
def person(service: Service) -> Person:
    return Person(service)


def test_after_a_partial_erasure_new_data_opens_and_the_old_stays_erased(person: Person) -> None:
    person.erase({"categories": ["medical", "insurance"], "case_ids": None})
    with pytest.raises(Fenced):
        person.do(MANAGER, "add_note", case_id=person.case)

    assert person.engage(given_name="Ada Maria") == 2
    case = person.new_case()
    person.do(MANAGER, "add_note", case_id=case)

    assert person.scopes() == {
        ("identity", 1, False): "live",
        ("medical", 1, True): "destroyed",
        ("insurance", 1, True): "destroyed",
        ("identity", 2, False): "live",
        ("medical", 2, False): "live",
        ("insurance", 2, False): "live",
    }
    assert person.identity()["given_name"] == "Ada Maria"
    with pytest.raises(Fenced):
        person.do(MANAGER, "add_note", case_id=person.case)


def test_a_scope_destroyed_in_one_engagement_is_never_made_again_and_the_next_one_s_is(person: Person) -> None:
    person.erase({"categories": ["medical"], "case_ids": None})
    person.engage()
    subject_id, case_id = UUID(person.subject), UUID(person.case)

    with pytest.raises(Fenced):
        person.service.vault.scope(KeyScope(subject_id, "medical", case_id, 1))
    assert person.service.vault.scope(KeyScope(subject_id, "medical", case_id, 2))


def test_free_text_about_the_person_goes_under_the_new_engagement(person: Person) -> None:
    person.do(RIGHTS, "withdraw_consent", {"reason": "No."}, subject_id=person.subject, consent_id=person.consent)
    person.erase({"categories": ["correspondence"], "case_ids": None})
    wish = body("receive_request", right="access", statement="Please.")
    with pytest.raises(Fenced):
        person.do(RIGHTS, "receive_request", wish, subject_id=person.subject)

    person.engage()
    person.do(RIGHTS, "receive_request", wish, subject_id=person.subject)

    states = {key: state for key, state in person.scopes().items() if key[0] == "correspondence"}
    assert states == {("correspondence", 1, False): "destroyed", ("correspondence", 2, False): "live"}


def test_an_erasure_asked_for_before_leaves_the_new_engagement_alone(person: Person) -> None:
    request = person.approved_erasure()
    person.engage()
    person.new_case()

    person.run_saga(request)

    states = {engagement: set() for engagement in (1, 2)}
    for (_, engagement, _), state in person.scopes().items():
        states[engagement].add(state)
    assert states == {1: {"destroyed"}, 2: {"live"}}
    assert person.identity()["given_name"] == "Ada"
    person.new_case()


def test_an_engagement_between_plan_and_fence_is_not_erased(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    request, plans = person.approved_erasure(), erasure.plan_erasure

    def plan_then_engage(*arguments: Any) -> Any:
        monkeypatch.undo()
        plan = plans(*arguments)
        person.engage()
        return plan

    monkeypatch.setattr(erasure, "plan_erasure", plan_then_engage)
    with pytest.raises(ConcurrencyConflict):
        person.run_saga(request)
    person.run_saga(request)

    assert person.scopes()[("identity", 2, False)] == "live"


def test_a_hold_released_later_erases_nothing_of_the_next_engagement(person: Person) -> None:
    held = body("place_hold", scope={"categories": ["medical"], "case_ids": None})
    hold = person.do(OFFICER, "place_hold", held, subject_id=person.subject).body["id"]
    request = person.erase({"categories": ["medical", "insurance"], "case_ids": None})
    person.engage()
    person.new_case()

    person.do(OFFICER, "release_hold", {}, subject_id=person.subject, hold_id=hold)
    person.run_saga(request)

    scopes = person.scopes()
    assert scopes[("medical", 1, True)] == "destroyed"
    assert (scopes[("medical", 2, False)], scopes[("insurance", 2, False)]) == ("live", "live")


def test_the_whole_person_can_be_erased_in_a_later_engagement(person: Person) -> None:
    person.erase({"categories": ["medical"], "case_ids": None})
    person.engage()
    person.new_case()

    person.erase()

    assert set(person.scopes().values()) == {"destroyed"}
    assert isinstance(person.identity(), Erased)


@pytest.mark.parametrize("held", [False, True], ids=["erased whole", "erased but for a held case"])
def test_somebody_erased_comes_back_as_a_new_person_only(person: Person, held: bool) -> None:
    """Under the old id the new identity would tell whose the held case is, or whom the old history is about."""
    if held:
        scope = {"categories": None, "case_ids": [person.case]}
        person.do(OFFICER, "place_hold", body("place_hold", scope=scope), subject_id=person.subject)
    person.erase()
    before = len(person.scopes())

    for attempt in (person.engage, person.new_case):
        with pytest.raises(RuleRefused) as refusal:
            attempt()
        assert refusal.value.rule.slug == ("identity-erased" if held else "subject-erased")
    assert len(person.scopes()) == before

    again = Person(person.service)
    assert again.subject != person.subject
    assert set(again.scopes().values()) == {"live"}
