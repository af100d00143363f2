"""Policy clause 3: two persons, two checks, and only what the consent and the agreement cover."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from tests.unit.domain.story import MANAGER, SECOND_MANAGER, SERVICE, START, Story, context


def test_requested_authorized_released(story: Story) -> None:
    consent_id = story.granted()

    story.release(story.authorized(consent_id))

    assert story.recorded() == ["ConsentGranted", "DisclosureRequested", "DisclosureAuthorized", "DisclosureReleased"]


def test_the_requester_cannot_authorise(story: Story, refused) -> None:
    disclosure_id = story.requested(story.granted())

    assert refused(story.subject.authorize_disclosure, context(MANAGER, 2), uuid4(), disclosure_id) == (
        "second-person-required"
    )
    assert refused(story.subject.deny_disclosure, context(MANAGER, 2), uuid4(), disclosure_id, None) == (
        "second-person-required"
    )


def test_a_consent_withdrawn_after_authorisation_stops_the_release(story: Story, refused) -> None:
    """Edge case E4."""
    consent_id = story.granted()
    disclosure_id = story.authorized(consent_id)
    story.subject.withdraw_consent(context(SERVICE, 2.5), uuid4(), consent_id, None)

    assert refused(story.release, disclosure_id) == "consent-withdrawn"
    assert "DisclosureReleased" not in story.recorded()


def test_a_consent_that_ran_out_after_authorisation_stops_the_release(story: Story, refused) -> None:
    disclosure_id = story.authorized(story.granted(valid_until=START + timedelta(days=2.5)))

    assert refused(story.release, disclosure_id) == "consent-expired"


def test_an_agreement_that_ran_out_stops_the_release(story: Story, refused) -> None:
    disclosure_id = story.authorized(story.granted(valid_until=None))

    assert refused(story.release, disclosure_id, days=300) == "agreement-not-in-force"


def test_an_unauthorised_disclosure_is_not_released(story: Story, refused) -> None:
    disclosure_id = story.requested(story.granted())

    assert refused(story.release, disclosure_id) == "disclosure-not-authorised"


def test_a_case_of_another_person_is_refused(story: Story, refused) -> None:
    other = Story()
    consent_id = story.granted()
    terms = story.disclosure_terms(consent_id, case_id=other.case.id)

    assert (
        refused(
            story.subject.request_disclosure, context(MANAGER), uuid4(), uuid4(), terms, other.case, story.recipient
        )
        == "case-of-another-person"
    )


def test_a_released_disclosure_is_neither_released_nor_cancelled_again(story: Story, refused) -> None:
    disclosure_id = story.authorized(story.granted())
    story.release(disclosure_id)

    assert refused(story.release, disclosure_id) == "disclosure-state"
    assert refused(story.subject.cancel_disclosure, context(MANAGER, 4), uuid4(), disclosure_id, None) == (
        "disclosure-state"
    )


def test_a_denied_disclosure_stays_denied(story: Story, refused) -> None:
    disclosure_id = story.requested(story.granted())
    story.subject.deny_disclosure(context(SECOND_MANAGER, 2), uuid4(), disclosure_id, None)

    assert refused(story.subject.authorize_disclosure, context(SECOND_MANAGER, 3), uuid4(), disclosure_id) == (
        "disclosure-state"
    )
    assert refused(story.release, disclosure_id) == "disclosure-state"
