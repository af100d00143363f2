"""Policy clauses 7.2 and 8: requests, and forgetting by two officers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import RuleRefused
from domain.rights import DestroyedKeys, ErasurePlan, ErasureScope, months_after
from tests.unit.domain.story import OFFICER, SECOND_OFFICER, SERVICE, START, Story, context

EVERYTHING = ErasureScope((), ())


def receive(story: Story, right: str = "erasure") -> UUID:
    request_id = uuid4()
    story.subject.receive_request(context(SERVICE), uuid4(), request_id, right, "web", EVERYTHING, None)
    return request_id


def verified(story: Story) -> UUID:
    request_id = receive(story)
    story.subject.verify_requester(context(OFFICER, 1), uuid4(), request_id, "telephone", "verified")
    return request_id


def plan(*erasable: UUID) -> ErasurePlan:
    return ErasurePlan(erasable or (uuid4(),), {}, ())


def previewed(story: Story, preview_id: UUID) -> UUID:
    request_id = verified(story)
    story.subject.preview_erasure(context(OFFICER, 2), uuid4(), request_id, preview_id, plan())
    return request_id


def test_the_whole_way_to_the_certificate(story: Story) -> None:
    preview_id, certificate_id, scope_id = uuid4(), uuid4(), uuid4()
    request_id = previewed(story, preview_id)
    story.subject.approve_erasure(context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, preview_id, plan())
    story.subject.fence_erasure(context(days=3), uuid4(), request_id, certificate_id, plan(scope_id))
    story.subject.record_drain(context(days=3), uuid4(), request_id, 3, 0)
    at = START + timedelta(days=3)
    story.subject.record_destruction(
        context(days=3), uuid4(), request_id, DestroyedKeys((scope_id,), at, at, 1, 2, ("ab" * 16,))
    )
    story.subject.certify_erasure(context(days=3), uuid4(), request_id, {"people": 9})

    assert story.recorded() == [
        "RightsRequestReceived",
        "RequesterVerified",
        "ErasurePreviewed",
        "ErasureApproved",
        "ErasureFenced",
        "ErasureDrained",
        "ErasureKeysDestroyed",
        "ErasureCertified",
    ]
    assert story.subject.fenced
    certified = story.subject.request(request_id).certified
    assert certified is not None
    assert certified.certificate_id == certificate_id


def test_one_active_request_for_each_right(story: Story, refused) -> None:
    """Edge case E12."""
    receive(story)

    assert refused(receive, story) == "request-already-active"
    receive(story, "access")


def test_nothing_is_previewed_for_an_unverified_requester(story: Story, refused) -> None:
    request_id = receive(story)
    story.subject.verify_requester(context(OFFICER, 1), uuid4(), request_id, "telephone", "failed")

    assert refused(story.subject.preview_erasure, context(OFFICER), uuid4(), request_id, uuid4(), plan()) == (
        "identity-not-verified"
    )


def test_the_officer_who_verified_cannot_approve(story: Story, refused) -> None:
    preview_id = uuid4()
    request_id = previewed(story, preview_id)

    approval = (context(OFFICER, 3), uuid4(), request_id, preview_id, preview_id, plan())

    assert refused(story.subject.approve_erasure, *approval) == "second-officer-required"


@pytest.mark.parametrize(("approved", "current"), [("old", "new"), ("shown", "new"), ("old", "shown")])
def test_a_stale_preview_is_not_approved(story: Story, refused, approved: str, current: str) -> None:
    named = {"old": uuid4(), "new": uuid4(), "shown": uuid4()}
    request_id = previewed(story, named["shown"])

    assert (
        refused(
            story.subject.approve_erasure,
            context(SECOND_OFFICER, 3),
            uuid4(),
            request_id,
            named[approved],
            named[current],
            plan(),
        )
        == "preview-stale"
    )


def test_a_stale_preview_is_answered_with_what_has_changed(story: Story) -> None:
    stays, leaves, regrounded, comes, came_and_went = (uuid4() for _ in range(5))
    preview_id, request_id = uuid4(), verified(story)
    shown = ErasurePlan((stays, leaves), {regrounded: "legal_duty"}, ())
    story.subject.preview_erasure(context(OFFICER, 2), uuid4(), request_id, preview_id, shown)
    now = ErasurePlan((stays, comes), {leaves: "accounting_duty", regrounded: "hold"}, (came_and_went,))

    with pytest.raises(RuleRefused) as refusal:
        story.subject.approve_erasure(context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, uuid4(), now)

    assert refusal.value.rule.status == 409
    assert {(problem.field, problem.problem) for problem in refusal.value.problems} == {
        ("erasable", f"scope {comes} has come in"),
        ("erasable", f"scope {leaves} has left"),
        ("withheld", f"scope {leaves} has come in"),
        ("withheld", f"scope {regrounded} is withheld on another ground"),
        ("gone", f"scope {came_and_went} has come in"),
    }


def test_the_requester_cannot_approve(story: Story, refused) -> None:
    preview_id = uuid4()
    request_id = previewed(story, preview_id)
    approval = (context(SERVICE, 3), uuid4(), request_id, preview_id, preview_id, plan())

    assert refused(story.subject.approve_erasure, *approval) == "second-officer-required"


@pytest.mark.parametrize(
    ("erasable", "withheld", "slug"),
    [(1501, 0, "erasure-too-large"), (1000, 501, "erasure-too-large"), (1000, 500, None)],
)
def test_what_one_certificate_cannot_list_is_not_approved(story: Story, refused, erasable, withheld, slug) -> None:
    preview_id = uuid4()
    request_id = previewed(story, preview_id)
    kept = {uuid4(): "accounting_duty" for _ in range(withheld)}
    large = ErasurePlan(tuple(uuid4() for _ in range(erasable)), kept, ())
    approval = (context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, preview_id, large)

    if slug is None:
        story.subject.approve_erasure(*approval)
    else:
        assert refused(story.subject.approve_erasure, *approval) == slug


def test_the_same_preview_again_records_nothing(story: Story) -> None:
    preview_id = uuid4()
    request_id = previewed(story, preview_id)
    story.recorded()

    story.subject.preview_erasure(context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, plan())

    assert story.recorded() == []


def test_withheld_scopes_leave_the_person_unfenced(story: Story) -> None:
    preview_id = uuid4()
    request_id = previewed(story, preview_id)
    story.subject.approve_erasure(context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, preview_id, plan())
    partly = ErasurePlan((uuid4(),), {uuid4(): "accounting_duty"}, ())

    story.subject.fence_erasure(context(days=3), uuid4(), request_id, uuid4(), partly)

    assert not story.subject.fenced


@pytest.mark.parametrize(
    ("moment", "months", "later"),
    [
        (datetime(2026, 1, 31, tzinfo=UTC), 1, datetime(2026, 2, 28, tzinfo=UTC)),
        (datetime(2028, 1, 30, tzinfo=UTC), 1, datetime(2028, 2, 29, tzinfo=UTC)),
        (datetime(2026, 12, 15, tzinfo=UTC), 1, datetime(2027, 1, 15, tzinfo=UTC)),
        (datetime(2026, 8, 31, tzinfo=UTC), 6, datetime(2027, 2, 28, tzinfo=UTC)),
        (datetime(2026, 1, 31, tzinfo=UTC), 3, datetime(2026, 4, 30, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 12, datetime(2027, 1, 15, tzinfo=UTC)),
    ],
)
def test_a_month_is_a_calendar_month_clamped_to_its_end(moment: datetime, months: int, later: datetime) -> None:
    """Edge case E17."""
    assert months_after(moment, months) == later


def test_a_deadline_is_extended_once_and_in_time(story: Story, refused) -> None:
    request_id = receive(story)

    story.subject.extend_request(context(OFFICER, 10), uuid4(), request_id)

    assert story.subject.request(request_id).due == datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
    assert refused(story.subject.extend_request, context(OFFICER, 80), uuid4(), request_id) == "request-extension"


def test_a_deadline_that_has_passed_is_not_extended(story: Story, refused) -> None:
    request_id = receive(story)

    assert refused(story.subject.extend_request, context(OFFICER, 31), uuid4(), request_id) == "request-extension"
