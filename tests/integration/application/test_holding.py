"""Legal holds through the service: what is held is withheld, goes at the release, and never loses a race."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from application import erasure
from application.examples import BODIES
from application.service import Service
from domain.errors import ConcurrencyConflict, RuleRefused
from domain.sealed import KeyScope
from tests.integration.application.made_people import INTAKE, OFFICER, RIGHTS, SECOND_OFFICER, Made, body

EVERYTHING = {"categories": None, "case_ids": None}
STEPS = ("fence", "drain", "destroy", "certify")


@pytest.fixture
def made(service: Service) -> Made:
    return Made(service)


def hold(made: Made, scope: dict[str, Any] | None = None) -> dict[str, Any]:
    return made.do(OFFICER, "place_hold", body("place_hold", scope=scope or EVERYTHING), subject_id=made.subject).body


def release(made: Made, hold_id: str) -> None:
    made.do(OFFICER, "release_hold", {}, subject_id=made.subject, hold_id=hold_id)


def holds(made: Made) -> list[dict[str, Any]]:
    return made.do(OFFICER, "list_holds", {}, subject_id=made.subject).body["items"]


def preview(made: Made, request: str) -> dict[str, Any]:
    return made.do(OFFICER, "preview_erasure", {}, subject_id=made.subject, request_id=request).body


def verified(made: Made, scope: dict[str, Any] | None = None) -> str:
    wish = body("receive_request", scope=scope)
    request = made.do(RIGHTS, "receive_request", wish, subject_id=made.subject).body["id"]
    made.do(OFFICER, "verify_requester", subject_id=made.subject, request_id=request)
    return request


def run_saga(made: Made, request: str, *steps: str) -> None:
    made.run_saga(request, *steps)


def certificate(made: Made, request: str) -> dict[str, Any]:
    return made.do(OFFICER, "erasure_certificate", {}, subject_id=made.subject, request_id=request).body


def states(made: Made) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in made.service.vault.scopes_of(UUID(made.subject)):
        found.setdefault(row.scope.category, set()).add(row.state)
    return found


def recorded(made: Made) -> list[str]:
    stream = UUID(made.subject)
    return [r.type for r in made.service.log.read_from(1, 1_000_000) if r.stream_id == stream]


def test_the_preview_shows_what_a_hold_keeps_and_when_to_look_again(made: Made) -> None:
    request = verified(made)
    hold(made, {"categories": ["medical"], "case_ids": [made.case]})

    shown = preview(made, request)

    assert [(w["category"], w["ground"], w["review_date"][:10]) for w in shown["withheld"]] == [
        ("medical", "legal_hold", "2036-01-01")
    ]
    assert {e["category"] for e in shown["erasable"]} == {"identity", "insurance"}


def test_a_held_case_is_kept_and_its_release_erases_it_under_a_second_certificate(made: Made) -> None:
    placed = hold(made, {"categories": None, "case_ids": [made.case]})
    request = made.approved_erasure()
    run_saga(made, request)
    first = certificate(made, request)
    assert states(made) == {"identity": {"destroyed"}, "medical": {"live"}, "insurance": {"live"}}
    assert {(w["ground"], w["review_date"][:10]) for w in first["withheld"]} == {("legal_hold", "2036-01-01")}

    release(made, placed["id"])
    assert certificate(made, request)["withheld"] == first["withheld"]
    run_saga(made, request)

    second = certificate(made, request)
    assert states(made) == {"identity": {"destroyed"}, "medical": {"destroyed"}, "insurance": {"destroyed"}}
    assert second["certificate_id"] != first["certificate_id"]
    assert [c["certificate_id"] for c in second["preceding"]] == [first["certificate_id"]]
    assert (first["whole_person"], second["whole_person"]) == (False, True)
    assert {s["scope_id"] for s in second["scopes"]} == {w["scope_id"] for w in first["withheld"]}


def test_a_hold_between_approval_and_fence_wins(made: Made) -> None:
    request = made.approved_erasure()
    placed = hold(made)

    run_saga(made, request)

    assert {s for each in states(made).values() for s in each} == {"live"}
    assert recorded(made)[-1] == "ErasureWithheld"
    release(made, placed["id"])
    run_saga(made, request)
    assert {s for each in states(made).values() for s in each} == {"destroyed"}


def test_a_hold_between_the_plan_and_the_fence_wins(made: Made) -> None:
    """The fence is refused: the person's stream has moved since the plan was made; the next try sees the hold."""
    request = made.approved_erasure()
    plans = erasure.plan_erasure

    def plan_then_hold(*arguments: Any) -> Any:
        erasure.plan_erasure = plans
        plan = plans(*arguments)
        hold(made)
        return plan

    erasure.plan_erasure = plan_then_hold
    try:
        with pytest.raises(ConcurrencyConflict):
            run_saga(made, request, "fence")
    finally:
        erasure.plan_erasure = plans
    run_saga(made, request)

    assert {s for each in states(made).values() for s in each} == {"live"}


@pytest.mark.parametrize("steps", [STEPS[:n] for n in range(1, len(STEPS) + 1)])
def test_a_hold_after_the_fence_is_told_that_it_came_too_late(made: Made, steps: tuple[str, ...]) -> None:
    request = made.approved_erasure()
    run_saga(made, request, *steps)

    answer = hold(made)

    scope_ids = sorted(str(row.scope_id) for row in made.service.vault.scopes_of(UUID(made.subject)))
    assert answer["state"] == "ineffective"
    assert [(i["reason"], i["scope_ids"]) for i in answer["ineffective"]] == [("already_destroyed", scope_ids)]
    assert recorded(made)[-1] == "HoldIneffective"
    run_saga(made, request)
    assert certificate(made, request)["certificate_id"] == answer["ineffective"][0]["certificate_id"]
    assert [item["state"] for item in holds(made)] == ["ineffective"]


def test_a_hold_of_which_a_part_is_gone_stands_for_the_rest(made: Made) -> None:
    request = made.approved_erasure({"categories": ["insurance"], "case_ids": None})
    run_saga(made, request)

    answer = hold(made)

    gone = [
        str(r.scope_id) for r in made.service.vault.scopes_of(UUID(made.subject)) if r.scope.category == "insurance"
    ]
    assert answer["state"] == "placed"
    assert answer["ineffective"][0]["scope_ids"] == gone
    assert preview(made, verified(made))["erasable"] == []


def test_a_hold_that_came_after_the_fence_keeps_what_came_into_use_meanwhile(made: Made) -> None:
    """The scope that the fence missed is not fenced later against a hold that stands by then."""
    case = made.do(INTAKE, "open_case", body("open_case", subject_id=made.subject)).body["id"]
    answers = {**BODIES["submit_intake"]["answers"], "insurance": None}
    made.do(INTAKE, "submit_intake", body("submit_intake", answers=answers), case_id=case)
    request = made.approved_erasure({"categories": None, "case_ids": [case]})
    run_saga(made, request, "fence")
    with pytest.raises(Exception, match="fenced"):
        made.do(INTAKE, "submit_intake", case_id=case)

    placed = hold(made, {"categories": ["insurance"], "case_ids": None})
    run_saga(made, request)

    def of_the_case() -> set[tuple[str, str]]:
        rows = made.service.vault.scopes_of(UUID(made.subject))
        return {(r.scope.category, r.state) for r in rows if r.scope.case_id == UUID(case)}

    assert of_the_case() == {("medical", "destroyed"), ("insurance", "live")}
    release(made, placed["id"])
    run_saga(made, request)
    assert of_the_case() == {("medical", "destroyed"), ("insurance", "destroyed")}


def test_a_hold_released_before_the_certificate_lets_the_erasure_go_on_after_it(made: Made) -> None:
    placed = hold(made, {"categories": ["medical"], "case_ids": None})
    request = made.approved_erasure()
    run_saga(made, request, "fence", "drain", "destroy")
    release(made, placed["id"])

    run_saga(made, request, "certify")
    assert recorded(made)[-3:] == ["ErasureCertified", "CertificateSigned", "ErasureResumed"]
    run_saga(made, request)

    assert states(made)["medical"] == {"destroyed"}
    assert len(certificate(made, request)["preceding"]) == 1


def test_two_requests_for_what_a_hold_kept_both_end_at_its_release(made: Made) -> None:
    """The second finds that the first has taken all of it: its certificate says so, and the person can ask again."""
    placed = hold(made, {"categories": ["medical"], "case_ids": None})
    first = made.approved_erasure({"categories": ["medical", "insurance"], "case_ids": None})
    run_saga(made, first)
    second = made.approved_erasure({"categories": ["medical", "identity"], "case_ids": None})
    run_saga(made, second)
    medical = certificate(made, second)["withheld"]

    release(made, placed["id"])
    run_saga(made, first)
    run_saga(made, second)

    ended = certificate(made, second)
    assert states(made) == {"identity": {"destroyed"}, "medical": {"destroyed"}, "insurance": {"destroyed"}}
    assert [s["scope_id"] for s in certificate(made, first)["scopes"]] == [w["scope_id"] for w in medical]
    assert (ended["scopes"], ended["fingerprints"], ended["withheld"]) == ([], [], [])
    assert len(ended["preceding"]) == 1
    assert recorded(made)[-2:] == ["ErasureCertified", "CertificateSigned"]
    verified(made)


def test_a_request_whose_person_was_erased_whole_by_another_ends_at_the_release(made: Made) -> None:
    placed = hold(made, {"categories": ["medical"], "case_ids": None})
    part = made.approved_erasure({"categories": ["medical", "insurance"], "case_ids": None})
    run_saga(made, part)
    whole = made.approved_erasure()
    run_saga(made, whole)

    release(made, placed["id"])
    run_saga(made, whole)
    run_saga(made, part)

    assert certificate(made, whole)["whole_person"]
    assert (certificate(made, part)["scopes"], certificate(made, part)["whole_person"]) == ([], False)
    assert recorded(made)[-2:] == ["ErasureCertified", "CertificateSigned"]


def test_an_erasure_that_grew_after_its_approval_is_certified_in_runs(made: Made, monkeypatch) -> None:
    """With room for 1 + 1 key scopes on a certificate, and 5 by the time of the fence; a hold keeps one of them."""
    placed = hold(made, {"categories": ["insurance"], "case_ids": None})
    request = made.approved_erasure()
    for _ in range(2):
        made.service.vault.scope(KeyScope(UUID(made.subject), "medical", uuid4(), 1))
    monkeypatch.setattr("domain.rights.MOST_SCOPES", 1)

    for run in range(1, 5):
        run_saga(made, request)
        shown = certificate(made, request)
        assert (len(shown["scopes"]), len(shown["withheld"]), len(shown["preceding"])) == (1, 1, run - 1)
    assert states(made) == {"identity": {"destroyed"}, "medical": {"destroyed"}, "insurance": {"live"}}
    assert recorded(made)[-2:] == ["ErasureCertified", "CertificateSigned"]

    release(made, placed["id"])
    run_saga(made, request)
    assert certificate(made, request)["whole_person"]
    assert {s for each in states(made).values() for s in each} == {"destroyed"}


def test_what_comes_into_use_behind_a_full_fence_is_left_to_the_next_run(made: Made, monkeypatch) -> None:
    request = made.approved_erasure({"categories": ["medical"], "case_ids": None})
    monkeypatch.setattr("domain.rights.MOST_SCOPES", 1)
    run_saga(made, request, "fence")
    for _ in range(2):
        made.service.vault.scope(KeyScope(UUID(made.subject), "medical", uuid4(), 1))

    run_saga(made, request, "drain", "destroy", "certify")
    first = certificate(made, request)
    run_saga(made, request)

    assert [len(first["scopes"]), len(certificate(made, request)["scopes"])] == [2, 1]
    assert states(made) == {"identity": {"live"}, "medical": {"destroyed"}, "insurance": {"live"}}


def test_a_release_does_not_start_what_nobody_approved(made: Made) -> None:
    placed = hold(made)
    request = verified(made)

    release(made, placed["id"])

    assert "ErasureResumed" not in recorded(made)
    assert len(preview(made, request)["erasable"]) == 3


def test_a_hold_makes_an_approved_preview_stale(made: Made) -> None:
    request = verified(made)
    shown = preview(made, request)
    hold(made, {"categories": ["medical"], "case_ids": None})

    ids = {"subject_id": made.subject, "request_id": request}
    with pytest.raises(RuleRefused) as refusal:
        made.do(SECOND_OFFICER, "approve_erasure", {"preview_id": shown["preview_id"]}, **ids)

    assert refusal.value.rule.slug == "preview-stale"


def test_the_case_of_another_person_is_in_no_hold(made: Made, service: Service) -> None:
    with pytest.raises(RuleRefused) as refusal:
        hold(made, {"categories": None, "case_ids": [Made(service).case]})

    assert refusal.value.rule.slug == "case-of-another-person"


def _race(service: Service, times: int) -> dict[str, int]:
    """Forget a person and hold their data at once, many times; return how often the hold was in time and too late."""
    outcomes = {"placed": 0, "ineffective": 0}
    chance = random.Random(20261127)
    for _ in range(times):
        made = Made(service)
        request, start = made.approved_erasure(), threading.Barrier(2)
        behind = chance.uniform(-0.012, 0.012)

        def forget(made: Made = made, request: str = request, start: Any = start, behind: float = behind) -> None:
            start.wait()
            time.sleep(max(0.0, -behind))
            for step in STEPS:
                _until_done(lambda step=step: run_saga(made, request, step))

        def place(made: Made = made, start: Any = start, behind: float = behind) -> dict[str, Any]:
            start.wait()
            time.sleep(max(0.0, behind))
            return _until_done(lambda: hold(made))

        with ThreadPoolExecutor(2) as pool:
            forgetting, holding = pool.submit(forget), pool.submit(place)
            forgetting.result()
            answer = holding.result()
        live = {s for each in states(made).values() for s in each}
        assert (answer["state"], live) in [("placed", {"live"}), ("ineffective", {"destroyed"})]
        assert recorded_holds(made) == ({"HoldPlaced"} if answer["state"] == "placed" else {"HoldIneffective"})
        outcomes[answer["state"]] += 1
    return outcomes


def _until_done(work: Any) -> Any:
    while True:
        try:
            return work()
        except ConcurrencyConflict:
            continue


def recorded_holds(made: Made) -> set[str]:
    stream, head = UUID(made.subject), made.service.log.head()
    recent = made.service.log.read_from(max(1, head - 60), 100)
    return {r.type for r in recent if r.stream_id == stream and r.type.startswith("Hold")}


def test_a_forget_and_a_hold_at_once_never_both_have_effect(service: Service) -> None:
    outcomes = _race(service, 50)

    assert min(outcomes.values()) > 0, f"the race was not one: {outcomes}"


@pytest.mark.faults
def test_a_forget_and_a_hold_at_once_a_thousand_times(service: Service) -> None:
    outcomes = _race(service, 1000)

    assert min(outcomes.values()) > 50, f"the race was not one: {outcomes}"
