"""Legal holds: what they keep from an erasure, what came too late for, and what a release lets go on (E1 to E3)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.holds import HoldTerms
from domain.rights import MOST_SCOPES, DestroyedKeys, ErasurePlan, ErasureScope
from domain.sealed import KeyScope
from tests.unit.domain.story import OFFICER, SECOND_OFFICER, SERVICE, START, Story, context

REVIEW = START + timedelta(days=365)


def terms(*categories: str, case_ids: tuple[UUID, ...] = ()) -> HoldTerms:
    return HoldTerms("legal_hold", uuid4(), categories, case_ids, REVIEW)


def place(story: Story, what: HoldTerms, scopes: dict[UUID, KeyScope]) -> UUID:
    hold_id = uuid4()
    story.subject.place_hold(context(OFFICER, 4), uuid4, hold_id, what, scopes)
    return hold_id


EVERYTHING = ErasureScope((), ())


def approved(story: Story, scope: ErasureScope = EVERYTHING) -> UUID:
    request_id, preview_id = uuid4(), uuid4()
    plan = ErasurePlan((uuid4(),), {}, ())
    subject = story.subject
    subject.receive_request(context(SERVICE), uuid4(), request_id, "erasure", "web", scope, None)
    subject.verify_requester(context(OFFICER, 1), uuid4(), request_id, "telephone", "verified")
    subject.preview_erasure(context(OFFICER, 2), uuid4(), request_id, preview_id, plan)
    subject.approve_erasure(context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, preview_id, plan)
    return request_id


def fence(story: Story, request_id: UUID, plan: ErasurePlan) -> UUID:
    certificate_id = uuid4()
    story.subject.fence_erasure(context(days=3), uuid4(), request_id, certificate_id, plan)
    return certificate_id


def certify(story: Story, request_id: UUID, *scope_ids: UUID) -> None:
    at = START + timedelta(days=3)
    gone = DestroyedKeys(scope_ids, at, at, 1, 2, tuple("ab" * 16 for _ in scope_ids))
    story.subject.record_drain(context(days=3), uuid4(), request_id, 3, 0)
    story.subject.record_destruction(context(days=3), uuid4(), request_id, gone)
    story.subject.certify_erasure(context(days=3), uuid4(), request_id, {"people": 9})


def key(story: Story, category: str = "medical", case_id: UUID | None = None, engagement: int = 1) -> KeyScope:
    return KeyScope(story.subject.id, category, case_id, engagement)


@pytest.mark.parametrize(
    ("categories", "on_case", "category", "in_case", "covered"),
    [
        ((), False, "medical", True, True),
        (("medical",), False, "medical", True, True),
        (("medical",), False, "insurance", True, False),
        ((), True, "medical", True, True),
        ((), True, "identity", False, False),
        (("insurance",), True, "medical", True, False),
    ],
)
def test_a_hold_covers_its_categories_of_its_cases(story, categories, on_case, category, in_case, covered) -> None:
    case_id = uuid4()
    place(story, terms(*categories, case_ids=(case_id,) if on_case else ()), {})

    held = story.subject.held(key(story, category, case_id if in_case else None))

    assert (held is not None) is covered


def test_a_hold_keeps_the_person_from_being_fenced_whole(story: Story) -> None:
    """Something the hold covers may come into use between plan and fence: the plan alone does not show it."""
    request_id = approved(story)
    place(story, terms("device"), {})

    fence(story, request_id, ErasurePlan((uuid4(),), {}, ()))

    assert not story.subject.fenced


def test_a_hold_after_the_fence_of_the_person_is_ineffective(story: Story) -> None:
    scope_id = uuid4()
    certificate_id = fence(story, approved(story), ErasurePlan((scope_id,), {}, ()))
    story.subject.collect_events()

    hold_id = place(story, terms(), {scope_id: key(story)})

    hold = story.subject.hold(hold_id)
    assert hold.state == "ineffective"
    assert [(p.reason, p.certificate_id, p.scope_ids) for p in hold.ineffective] == [
        ("already_destroyed", certificate_id, (scope_id,))
    ]
    assert story.recorded() == ["HoldIneffective"]


def test_a_hold_stands_for_what_is_left_and_says_what_is_not(story: Story) -> None:
    gone, left = uuid4(), uuid4()
    certificate_id = fence(story, approved(story, ErasureScope(("medical",), ())), ErasurePlan((gone,), {}, ()))
    story.subject.collect_events()

    hold_id = place(story, terms(), {gone: key(story), left: key(story, "insurance")})

    hold = story.subject.hold(hold_id)
    assert (hold.state, [p.scope_ids for p in hold.ineffective]) == ("placed", [(gone,)])
    assert hold.ineffective[0].certificate_id == certificate_id
    assert story.recorded() == ["HoldPlaced", "HoldIneffective"]
    assert story.subject.held(key(story, "insurance")) == hold


def test_a_hold_on_nothing_but_what_is_gone_does_not_stand(story: Story) -> None:
    gone, left = uuid4(), uuid4()
    fence(story, approved(story, ErasureScope(("medical",), ())), ErasurePlan((gone,), {}, ()))

    hold_id = place(story, terms("medical"), {gone: key(story), left: key(story, "insurance")})

    assert story.subject.hold(hold_id).state == "ineffective"
    assert not story.subject.has_holds()


def test_a_hold_needs_a_day_to_be_looked_at_again(story: Story, refused) -> None:
    late = HoldTerms("legal_hold", uuid4(), (), (), START)

    assert refused(place, story, late, {}) == "hold-review-date"


def test_only_a_hold_that_stands_is_released_and_once(story: Story, refused) -> None:
    hold_id = place(story, terms(), {})
    story.subject.release_hold(context(OFFICER, 5), uuid4(), hold_id)

    assert refused(story.subject.release_hold, context(OFFICER, 5), uuid4(), hold_id) == "hold-state"
    assert refused(story.subject.release_hold, context(OFFICER, 5), uuid4(), uuid4()) == "hold-unknown"


def test_an_erasure_with_everything_withheld_waits_and_goes_on(story: Story) -> None:
    request_id, scope_id = approved(story), uuid4()
    hold_id = place(story, terms(), {scope_id: key(story)})
    fence(story, request_id, ErasurePlan((), {scope_id: "legal_hold"}, ()))
    assert story.subject.request(request_id).state == "withheld"

    story.subject.release_hold(context(OFFICER, 5), uuid4(), hold_id)
    story.subject.resume_erasure(context(OFFICER, 5), uuid4(), request_id, ErasurePlan((scope_id,), {}, ()))

    assert story.subject.request(request_id).state == "approved"
    fence(story, request_id, ErasurePlan((scope_id,), {}, ()))
    assert story.subject.fenced


def test_the_second_run_has_its_own_certificate_and_the_first_clock(story: Story) -> None:
    held, free = uuid4(), uuid4()
    request_id = approved(story)
    hold_id = place(story, terms("medical"), {held: key(story)})
    first = fence(story, request_id, ErasurePlan((free,), {held: "legal_hold"}, ()))
    certify(story, request_id, free)
    due = story.subject.request(request_id).due
    story.subject.release_hold(context(OFFICER, 5), uuid4(), hold_id)

    story.subject.resume_erasure(context(OFFICER, 5), uuid4(), request_id, ErasurePlan((held,), {}, (free,)))
    second = fence(story, request_id, ErasurePlan((held,), {}, (free,)))
    certify(story, request_id, held)

    request = story.subject.request(request_id)
    assert [run.fenced.certificate_id for run in request.runs()] == [first, second]
    assert [run.fenced.whole_person for run in request.runs()] == [False, True]
    assert request.due == due


def test_nothing_goes_on_while_another_hold_stands(story: Story) -> None:
    held, free = uuid4(), uuid4()
    request_id = approved(story)
    hold_id = place(story, terms("medical"), {held: key(story)})
    place(story, terms(), {held: key(story)})
    fence(story, request_id, ErasurePlan((free,), {held: "legal_hold"}, ()))
    certify(story, request_id, free)
    story.subject.release_hold(context(OFFICER, 5), uuid4(), hold_id)

    story.subject.resume_erasure(context(OFFICER, 5), uuid4(), request_id, ErasurePlan((), {held: "legal_hold"}, ()))

    assert story.subject.request(request_id).state == "certified"


def test_an_erasure_of_which_another_took_everything_meanwhile_ends_with_an_empty_certificate(story: Story) -> None:
    request_id, scope_id = approved(story, ErasureScope(("medical",), ())), uuid4()
    fence(story, request_id, ErasurePlan((), {scope_id: "legal_hold"}, ()))
    gone = ErasurePlan((), {}, (scope_id,))

    story.subject.resume_erasure(context(OFFICER, 5), uuid4(), request_id, gone)
    certificate_id = fence(story, request_id, gone)
    certify(story, request_id)

    request = story.subject.request(request_id)
    assert request.state == "certified"
    assert [(run.fenced.certificate_id, run.fenced.scope_ids) for run in request.runs()] == [(certificate_id, ())]
    assert not story.subject.fenced
    story.subject.resume_erasure(context(OFFICER, 6), uuid4(), request_id, gone)
    assert story.subject.request(request_id).state == "certified"


def scopes(count: int) -> tuple[UUID, ...]:
    return tuple(uuid4() for _ in range(count))


def test_what_has_grown_beyond_one_certificate_goes_in_several_runs_the_last_of_which_takes_the_person(
    story: Story,
) -> None:
    request_id, all_ = approved(story), scopes(2200)
    first = fence(story, request_id, ErasurePlan(all_, {}, ()))
    taken = story.subject.fenced_scopes.keys()
    left = tuple(scope_id for scope_id in all_ if scope_id not in taken)
    certify(story, request_id, *taken)
    assert (len(left), story.subject.fenced) == (2200 - MOST_SCOPES - 1, False)

    story.subject.resume_erasure(context(days=3), uuid4(), request_id, ErasurePlan(left, {}, tuple(taken)))
    second = fence(story, request_id, ErasurePlan(left, {}, tuple(taken)))
    certify(story, request_id, *left)

    runs = story.subject.request(request_id).runs()
    assert [(r.fenced.certificate_id, r.fenced.whole_person) for r in runs] == [(first, False), (second, True)]
    assert {*runs[0].fenced.scope_ids, *runs[1].fenced.scope_ids} == {*all_}
    assert story.subject.fenced


@pytest.mark.parametrize(("count", "goes_on"), [(MOST_SCOPES, False), (MOST_SCOPES + 100, True)])
def test_a_limited_request_goes_on_for_what_its_certificate_could_not_list_and_for_nothing_else(
    story: Story, count: int, goes_on: bool
) -> None:
    request_id, all_ = approved(story, ErasureScope(("medical",), ())), scopes(count)
    fence(story, request_id, ErasurePlan(all_, {}, ()))
    certify(story, request_id, *story.subject.fenced_scopes)
    other = ErasurePlan((all_[-1] if goes_on else uuid4(),), {}, ())

    story.subject.resume_erasure(context(days=3), uuid4(), request_id, other)

    assert story.subject.request(request_id).state == ("approved" if goes_on else "certified")
    if goes_on:
        assert story.subject.request(request_id).concerns(all_[-1], key(story))


def test_what_is_withheld_leaves_less_room_and_where_it_leaves_none_nothing_is_fenced(story: Story, refused) -> None:
    request_id = approved(story)
    kept = dict.fromkeys(scopes(MOST_SCOPES + 1), "legal_hold")

    slug = refused(fence, story, request_id, ErasurePlan(scopes(2), kept, ()))
    assert (slug, story.subject.request(request_id).state) == ("erasure-too-large", "approved")

    kept.popitem()
    fence(story, request_id, ErasurePlan(scopes(2), kept, ()))
    assert len(story.subject.fenced_scopes) == 1


def test_a_later_run_of_a_limited_request_takes_only_what_was_withheld(story: Story) -> None:
    held, free, later = uuid4(), uuid4(), uuid4()
    request_id = approved(story, ErasureScope(("medical",), ()))
    hold_id = place(story, terms("medical"), {held: key(story)})
    fence(story, request_id, ErasurePlan((free,), {held: "legal_hold"}, ()))
    certify(story, request_id, free)
    story.subject.release_hold(context(OFFICER, 5), uuid4(), hold_id)
    story.subject.resume_erasure(context(OFFICER, 5), uuid4(), request_id, ErasurePlan((held,), {}, ()))

    request = story.subject.request(request_id)

    assert request.concerns(held, key(story))
    assert not request.concerns(later, key(story, case_id=uuid4()))


def test_a_request_does_not_reach_into_a_later_engagement(story: Story) -> None:
    request = story.subject.request(approved(story))

    assert request.concerns(uuid4(), key(story))
    assert not request.concerns(uuid4(), key(story, engagement=2))
