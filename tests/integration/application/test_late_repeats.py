"""A call that is repeated when its body can no longer be compared is told that it was done, and does nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest

from application.service import Service
from domain.errors import DoneLongAgo, IdempotencyKeyReused
from tests.days_later import days_later
from tests.integration.application.made_people import INTAKE, body


def test_until_the_end_of_the_next_day_the_first_answer_comes_again(service: Service) -> None:
    key = str(uuid4())
    first = service.execute("register_subject", INTAKE, {}, body("register_subject"), key)
    head = service.log.head()

    assert days_later(service, 1).execute("register_subject", INTAKE, {}, body("register_subject"), key) == first
    assert service.log.head() == head


def test_after_that_it_is_told_that_it_was_done(service: Service) -> None:
    key, case_key = str(uuid4()), str(uuid4())
    subject = service.execute("register_subject", INTAKE, {}, body("register_subject"), key).body["id"]
    case = {"subject_id": subject, "kind": "second_opinion"}
    service.execute("open_case", INTAKE, {}, case, case_key)
    head = service.log.head()
    later = days_later(service, 2)

    for name, said, known in (
        ("register_subject", body("register_subject"), key),
        ("register_subject", body("register_subject", language="de"), key),
        ("open_case", case, case_key),
    ):
        with pytest.raises(DoneLongAgo):
            later.execute(name, INTAKE, {}, said, known)
    with pytest.raises(IdempotencyKeyReused):
        later.execute("open_case", INTAKE, {}, case, key)
    assert service.log.head() == head
