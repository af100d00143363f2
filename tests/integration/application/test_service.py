"""Commands on a real store and vault: whole or not at all, once, and refused when what they read has moved."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from application import erasure
from application.caller import Caller
from application.erasure import ErasureSaga
from application.examples import BODIES
from application.service import Answer, Service
from application.unit_of_work import UnitOfWork
from domain.errors import ConcurrencyConflict, Fenced, IdempotencyKeyReused, InvalidInput, NotAllowed, RuleRefused
from domain.rights import DueErasure
from domain.subject import Subject
from tests.integration.application.made_people import (
    INTAKE,
    MANAGER,
    OFFICER,
    RIGHTS,
    Made,
    body,
    caller,
)


@pytest.fixture
def made(service: Service) -> Made:
    return Made(service)


def test_a_release_carries_the_listed_categories_only(made: Made) -> None:
    released = made.release(made.authorized()).body

    assert set(released["content"]) == {"identity", "medical"}
    assert released["content"]["identity"]["given_name"] == "Ada"
    assert released["content"]["medical"]["reason"] == "A second opinion before an operation"


def test_a_repeated_release_opens_again_and_records_once(service: Service, made: Made) -> None:
    disclosure, key = made.authorized(), str(uuid4())
    first = made.release(disclosure, key)
    head = service.log.head()

    again = made.release(disclosure, key)

    assert again == first
    assert [r.type for r in service.log.read_from(head + 1, 10)] == ["AccessRecorded"]


def test_a_repeated_release_after_a_withdrawal_is_refused(made: Made) -> None:
    disclosure, key = made.authorized(), str(uuid4())
    made.release(disclosure, key)
    made.do(RIGHTS, "withdraw_consent", subject_id=made.subject, consent_id=made.consent)

    with pytest.raises(RuleRefused) as refusal:
        made.release(disclosure, key)

    assert refusal.value.rule.slug == "consent-withdrawn"


def test_the_same_key_at_once_has_one_effect(service: Service) -> None:
    key, head = str(uuid4()), service.log.head()
    start = threading.Barrier(8)

    def register(_: int) -> Answer:
        start.wait()
        return service.execute("register_subject", INTAKE, {}, body("register_subject"), key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(register, range(8)))

    assert len({answer.body["id"] for answer in answers}) == 1
    assert len({answer.body["receipt"]["position"] for answer in answers}) == 1
    assert service.log.head() == head + 2


def test_a_key_with_another_body_is_refused(service: Service) -> None:
    key = str(uuid4())
    service.execute("register_subject", INTAKE, {}, body("register_subject"), key)
    head = service.log.head()

    with pytest.raises(IdempotencyKeyReused):
        service.execute("register_subject", INTAKE, {}, body("register_subject", language="de"), key)

    assert service.log.head() == head


def test_a_decision_that_only_read_a_stream_is_refused_when_it_has_moved(service: Service, made: Made) -> None:
    """What happens to the case between the decision to release and its append must win."""
    disclosure = made.authorized()
    original = service.vault.open_many

    def note_meanwhile(fields: Any) -> Any:
        service.vault.open_many = original  # type: ignore[method-assign]
        made.do(MANAGER, "add_note", {"text": "meanwhile"}, case_id=made.case)
        return original(fields)

    service.vault.open_many = note_meanwhile  # type: ignore[method-assign]
    try:
        with pytest.raises(ConcurrencyConflict) as conflict:
            made.release(disclosure)
    finally:
        service.vault.open_many = original  # type: ignore[method-assign]

    assert conflict.value.stream_id == UUID(made.case)
    assert made.release(disclosure).status == 200


def test_bad_input_names_the_field_and_appends_nothing(service: Service) -> None:
    head = service.log.head()
    bad = body("register_subject", identity={"given_name": "secret\x00value", "birth_date": "20-20"})

    with pytest.raises(InvalidInput) as problem:
        service.execute("register_subject", INTAKE, {}, bad)

    assert {p.field for p in problem.value.problems} == {"identity.given_name", "identity.birth_date"}
    assert "secret" not in str(problem.value)
    assert service.log.head() == head


@pytest.mark.parametrize(
    ("who", "slug"),
    [(caller("regulator", "audit"), "not-allowed"), (caller("service", None), "purpose-missing")],
)
def test_a_caller_without_the_right_is_refused(service: Service, who: Caller, slug: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        service.execute("register_subject", who, {}, body("register_subject"))

    assert refusal.value.slug == slug


def test_forgetting_end_to_end(service: Service, made: Made) -> None:
    bystander = Made(service)
    request = made.approved_erasure()
    saga = ErasureSaga(service.resources, service.clock)
    subject_id, request_id = UUID(made.subject), UUID(request)

    for _ in range(2):  # every step may be delivered twice
        saga.fence(DueErasure(subject_id, request_id, uuid4()))
        assert saga.drain([DueErasure(subject_id, request_id, uuid4())]) == {}
        assert saga.destroy([DueErasure(subject_id, request_id, uuid4())]) == {}
        saga.certify(DueErasure(subject_id, request_id, uuid4()), {"people": service.log.head()})

    ids = {"subject_id": made.subject, "request_id": request}
    certificate = made.do(OFFICER, "erasure_certificate", {}, **ids).body
    assert certificate["root_epochs"]["after"] == certificate["root_epochs"]["before"] + 1
    assert {scope["category"] for scope in certificate["scopes"]} == {"identity", "medical", "insurance"}
    with pytest.raises((RuleRefused, Fenced)):
        made.do(MANAGER, "add_note", case_id=made.case)
    assert bystander.release(bystander.authorized()).body["content"]["identity"]["given_name"] == "Ada"
    field = _identity(service, subject_id)
    shown = service.reading.open(MANAGER, "subject", {"identity": field}, subject_ids=[subject_id])
    assert shown["identity"]["erased"]["certificate_id"] == certificate["certificate_id"]


def test_what_came_into_use_while_the_fence_was_made_is_erased_too(service: Service, made: Made) -> None:
    """An intake with insurance, appended between the plan of an erasure by category and its fence."""
    case = made.do(INTAKE, "open_case", body("open_case", subject_id=made.subject)).body["id"]
    answers = {**BODIES["submit_intake"]["answers"], "insurance": None}
    made.do(INTAKE, "submit_intake", body("submit_intake", answers=answers), case_id=case)
    scope = {"categories": ["medical", "insurance"], "case_ids": [case]}
    request = UUID(made.approved_erasure(scope))
    saga = ErasureSaga(service.resources, service.clock)
    plans = erasure.plan_erasure

    def plan_then_intake(*arguments: Any) -> Any:
        erasure.plan_erasure = plans
        plan = plans(*arguments)
        made.do(INTAKE, "submit_intake", case_id=case)
        return plan

    erasure.plan_erasure = plan_then_intake
    try:
        saga.fence(DueErasure(UUID(made.subject), request, uuid4()))
    finally:
        erasure.plan_erasure = plans
    assert saga.drain([DueErasure(UUID(made.subject), request, uuid4())]) == {}
    assert saga.destroy([DueErasure(UUID(made.subject), request, uuid4())]) == {}

    rows = [row for row in service.vault.scopes_of(UUID(made.subject)) if row.scope.case_id == UUID(case)]
    assert {(row.scope.category, row.state) for row in rows} == {("medical", "destroyed"), ("insurance", "destroyed")}


def test_a_fenced_scope_is_not_released_though_its_key_still_lives(service: Service, made: Made) -> None:
    disclosure = made.authorized()
    request = made.approved_erasure({"categories": ["medical"], "case_ids": None})
    ErasureSaga(service.resources, service.clock).fence(DueErasure(UUID(made.subject), UUID(request), uuid4()))

    with pytest.raises(Fenced):
        made.release(disclosure)


def test_a_case_that_is_not_the_person_s_is_in_no_erasure(made: Made, service: Service) -> None:
    """Another person's case and one that does not exist are answered alike."""
    for case in (Made(service).case, str(uuid4())):
        wish = body("receive_request", scope={"categories": None, "case_ids": [made.case, case]})

        with pytest.raises(InvalidInput) as refusal:
            made.do(RIGHTS, "receive_request", wish, subject_id=made.subject)

        assert [problem.field for problem in refusal.value.problems] == ["scope.case_ids.1"]


def test_an_erasure_of_nothing_is_not_approved(made: Made) -> None:
    with pytest.raises(RuleRefused) as refusal:
        made.approved_erasure({"categories": ["device"], "case_ids": None})

    assert refusal.value.rule.slug == "nothing-to-erase"


def test_a_fence_is_seen_before_the_keys_are_gone(service: Service, made: Made) -> None:
    request = made.approved_erasure()
    field = _identity(service, UUID(made.subject))
    ErasureSaga(service.resources, service.clock).fence(DueErasure(UUID(made.subject), UUID(request), uuid4()))

    shown = service.reading.open(MANAGER, "subject", {"identity": field}, subject_ids=[UUID(made.subject)])

    assert set(shown["identity"]) == {"erased"}


def test_each_read_is_an_event_and_masks_what_the_purpose_does_not_need(service: Service, made: Made) -> None:
    field = _identity(service, UUID(made.subject))
    head = service.log.head()

    opened = service.reading.open(MANAGER, "subject", {"identity": field}, subject_ids=[UUID(made.subject)])
    regulator = caller("regulator", "audit", "r1")
    masked = service.reading.open(regulator, "subject", {"identity": field}, subject_ids=[UUID(made.subject)])

    assert opened["identity"]["family_name"] == "Example"
    assert masked["identity"] == {"masked": {"category": "identity"}}
    assert [r.type for r in service.log.read_from(head + 1, 10)] == ["AccessRecorded", "AccessRecorded"]


def _identity(service: Service, subject_id: UUID) -> dict[str, Any]:
    work = UnitOfWork(service.resources, service._system_context())
    identity = work.load(Subject, subject_id).identity
    assert identity is not None
    return identity.to_json()


def fence_once_opened(monkeypatch: pytest.MonkeyPatch, made: Made, nth: int = 1) -> None:
    """Fence the person after the ``nth`` opening of sealed parts from now, before anything is done with them."""
    service, request = made.service, made.approved_erasure()
    genuine, count = service.vault.open_many, itertools.count(1)

    def open_many(fields: Any) -> Any:
        values = genuine(fields)
        if next(count) == nth:
            ErasureSaga(service.resources, service.clock).fence(DueErasure(UUID(made.subject), UUID(request), uuid4()))
        return values

    monkeypatch.setattr(service.vault, "open_many", open_many)


def test_what_is_fenced_while_it_is_read_is_answered_as_a_tombstone(made: Made, monkeypatch) -> None:
    service = made.service
    identity = made.service.resources.streams.load(UUID(made.subject)).identity.to_json()
    ids = [UUID(made.subject)]
    before = service.reading.open(MANAGER, "subject", {"identity": identity}, subject_ids=ids)
    fence_once_opened(monkeypatch, made)
    head = service.log.head()

    during = service.reading.open(MANAGER, "subject", {"identity": identity}, subject_ids=ids)

    assert before["identity"]["given_name"] == "Ada"
    assert set(during["identity"]) == {"erased"}
    assert [r.type for r in service.log.read_from(head + 1, 10)] == ["ErasureFenced", "AccessRecorded"]


def test_a_repeated_release_that_is_fenced_meanwhile_is_refused(made: Made, monkeypatch) -> None:
    disclosure, key = made.authorized(), str(uuid4())
    made.release(disclosure, key)
    # The first opening is the decision's, which finds the release done; the second one is what would be answered.
    fence_once_opened(monkeypatch, made, nth=2)

    with pytest.raises(Fenced):
        made.release(disclosure, key)
