"""Policy clause 2.1: the work done on a case."""

from __future__ import annotations

from uuid import uuid4

from domain.case import IntakeForm
from tests.unit.domain.story import Story, context, sealed

FORM = IntakeForm("medical_intake", 1, "1")


def test_an_amendment_replaces_the_answers_and_keeps_the_event(story: Story) -> None:
    (intake_id,) = story.case.intakes
    first = story.case.intakes[intake_id].parts["medical"]
    corrected = sealed(story.subject.id, "medical")

    story.case.amend_intake(context(), uuid4(), intake_id, FORM, {"medical": corrected, "insurance": None})

    assert story.case.intakes[intake_id].parts["medical"].part == corrected
    assert story.case.intakes[intake_id].parts["medical"] != first
    assert story.recorded() == ["IntakeAmended"]


def test_an_unknown_intake_is_not_amended(story: Story, refused) -> None:
    parts = {"medical": sealed(story.subject.id, "medical"), "insurance": None}

    assert refused(story.case.amend_intake, context(), uuid4(), uuid4(), FORM, parts) == "intake-unknown"


def test_a_closed_case_takes_nothing_more(story: Story, refused) -> None:
    note = sealed(story.subject.id, "medical")
    story.case.close(context(), uuid4(), "completed", None)

    assert refused(story.case.add_note, context(), uuid4(), uuid4(), note) == "case-closed"
    assert refused(story.case.assign, context(), uuid4(), "a1") == "case-closed"
    assert refused(story.case.close, context(), uuid4(), "completed", None) == "case-closed"


def test_a_task_is_done_once(story: Story, refused) -> None:
    task_id = uuid4()
    story.case.add_task(context(), uuid4(), task_id, sealed(story.subject.id, "medical"), None, "a1")
    story.case.complete_task(context(), uuid4(), task_id)

    assert refused(story.case.complete_task, context(), uuid4(), task_id) == "task-done"
    assert refused(story.case.complete_task, context(), uuid4(), uuid4()) == "task-unknown"
