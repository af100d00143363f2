"""Policy clause 3: shared only with consent, and a withdrawal ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.unit.domain.story import SERVICE, START, Story, context


def test_a_refusal_is_a_recorded_answer(story: Story) -> None:
    story.subject.refuse_consent(context(SERVICE), uuid4(), uuid4(), story.terms)

    assert story.recorded() == ["ConsentRefused"]


def test_an_asked_consent_is_granted_on_its_terms_only(story: Story, refused) -> None:
    consent_id = uuid4()
    story.subject.ask_consent(context(SERVICE), uuid4(), consent_id, story.terms)
    wider = replace(story.terms, categories=("identity", "medical", "insurance"))

    assert refused(story.subject.grant_consent, context(SERVICE), uuid4(), consent_id, wider) == (
        "consent-already-answered"
    )
    story.subject.grant_consent(context(SERVICE), uuid4(), consent_id, story.terms)
    assert story.subject.consent(consent_id).state == "granted"


def test_a_consent_is_withdrawn_once(story: Story, refused) -> None:
    consent_id = story.granted()
    story.subject.withdraw_consent(context(SERVICE, 1), uuid4(), consent_id, None)

    assert refused(story.subject.withdraw_consent, context(SERVICE, 2), uuid4(), consent_id, None) == (
        "consent-withdrawn"
    )
    assert story.recorded() == ["ConsentGranted", "ConsentWithdrawn"]


def test_a_consent_that_has_run_out_already_is_not_granted(story: Story, refused) -> None:
    past = replace(story.terms, valid_until=START - timedelta(seconds=1))

    assert refused(story.subject.grant_consent, context(SERVICE), uuid4(), uuid4(), past) == "consent-expired"


def test_expiry_is_recorded_only_when_the_time_has_come(story: Story, refused) -> None:
    consent_id = story.granted()

    assert refused(story.subject.expire_consent, context(days=199.9), uuid4(), consent_id) == "consent-not-granted"
    story.subject.expire_consent(context(days=200), uuid4(), consent_id)
    assert story.subject.consent(consent_id).state == "expired"


@pytest.mark.parametrize(
    ("changes", "days", "slug"),
    [
        ({"purpose": "legal"}, 1, "consent-purpose"),
        ({"recipient": "another"}, 1, "consent-recipient"),
        ({"categories": ("identity", "insurance")}, 1, "consent-category"),
        ({}, 200, "consent-expired"),
    ],
)
def test_what_a_consent_does_not_cover(story: Story, refused, changes: dict, days: float, slug: str) -> None:
    consent = story.subject.consent(story.granted())
    recipient_id = uuid4() if changes.get("recipient") else story.recipient.id

    assert (
        refused(
            consent.check_covers,
            changes.get("purpose", "treatment"),
            recipient_id,
            changes.get("categories", ("identity",)),
            START + timedelta(days=days),
        )
        == slug
    )
