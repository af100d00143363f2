from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from view_records import ANA, BEN, CLINIC, event, part, uid

from projections.consents import Consents, consents_of, due_to_expire

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
A_TICK = timedelta(microseconds=1)


def terms(type_: str, consent: str, at: str, *, subject: str = ANA, until: str | None = None) -> dict:
    data = {
        "consent_id": consent,
        "consent_purpose": "treatment",
        "recipient_ids": [CLINIC],
        "categories": ["identity", "medical"],
        "notice_version": "1",
        "language": "pt",
        "method": "web_form",
        "valid_until": until,
    }
    return event(type_, subject, data, at=at)


def shown(consent: str, state: str, **changes) -> dict:
    return {
        "id": consent,
        "purpose": "treatment",
        "recipient_ids": [CLINIC],
        "categories": ["identity", "medical"],
        "policy_version": "1",
        "language": "pt",
        "method": "web_form",
        "state": state,
        "valid_until": None,
        "granted_at": None,
        "withdrawn_at": None,
        **changes,
    }


JOURNEY = (
    terms("ConsentRequested", uid(9), "2026-03-01T10:00:00.000000Z"),
    terms("ConsentGranted", uid(2), "2026-03-02T10:00:00.000000Z"),
    terms("ConsentGranted", uid(9), "2026-03-03T10:00:00.000000Z"),
    terms("ConsentRefused", uid(3), "2026-03-04T10:00:00.000000Z"),
    event(
        "ConsentWithdrawn",
        ANA,
        {"consent_id": uid(2)},
        at="2026-03-05T10:00:00.000000Z",
        sealed={"reason": part(ANA, "correspondence", uid(22))},
    ),
    terms("ConsentGranted", uid(4), "2026-03-06T10:00:00.000000Z", until="2026-06-01T00:00:00.000000Z"),
    event("ConsentExpired", ANA, {"consent_id": uid(4)}, at="2026-06-01T00:00:05.000000Z"),
    terms("ConsentRequested", uid(5), "2026-03-07T10:00:00.000000Z"),
    terms("ConsentGranted", uid(6), "2026-03-07T10:00:00.000000Z", subject=BEN),
)

EXPECTED = [
    shown(uid(9), "granted", granted_at="2026-03-03T10:00:00.000000Z"),
    shown(uid(2), "withdrawn", granted_at="2026-03-02T10:00:00.000000Z", withdrawn_at="2026-03-05T10:00:00.000000Z"),
    shown(uid(3), "refused"),
    shown(uid(4), "expired", granted_at="2026-03-06T10:00:00.000000Z", valid_until="2026-06-01T00:00:00.000000Z"),
    shown(uid(5), "asked"),
]


@pytest.mark.parametrize("how", ["take", "take_one_by_one"])
def test_a_persons_consents_in_the_order_they_were_recorded(feed, how):
    consents = feed(Consents())
    getattr(consents, how)(*JOURNEY)

    assert consents.ask(consents_of, UUID(ANA), UNTIL) == EXPECTED


@pytest.mark.parametrize(
    ("at", "state"), [(UNTIL - A_TICK, "granted"), (UNTIL, "expired"), (UNTIL + A_TICK, "expired")], ids=str
)
def test_a_consent_is_shown_expired_from_its_last_moment_on_without_an_event(feed, at, state):
    consents = feed(Consents())
    consents.take(terms("ConsentGranted", uid(1), "2026-03-01T10:00:00.000000Z", until="2026-06-01T00:00:00.000000Z"))

    assert [item["state"] for item in consents.ask(consents_of, UUID(ANA), at)] == [state]


def test_a_withdrawn_consent_stays_withdrawn_when_its_time_is_over(feed):
    consents = feed(Consents())
    consents.take(
        terms("ConsentGranted", uid(1), "2026-03-01T10:00:00.000000Z", until="2026-06-01T00:00:00.000000Z"),
        event("ConsentWithdrawn", ANA, {"consent_id": uid(1)}),
    )

    assert [item["state"] for item in consents.ask(consents_of, UUID(ANA), UNTIL)] == ["withdrawn"]


def test_what_is_due_to_expire_is_what_was_granted_and_is_over(feed):
    consents = feed(Consents())
    day = "2026-{:02d}-01T00:00:00.000000Z".format
    granted = "2026-01-01T00:00:00.000000Z"
    consents.take(
        terms("ConsentGranted", uid(1), granted, until=day(6)),
        terms("ConsentGranted", uid(2), granted, until=day(5), subject=BEN),
        terms("ConsentGranted", uid(3), granted, until=day(7)),
        terms("ConsentGranted", uid(4), granted),
        terms("ConsentRequested", uid(5), granted, until=day(2)),
        terms("ConsentGranted", uid(6), granted, until=day(3)),
        event("ConsentWithdrawn", ANA, {"consent_id": uid(6)}),
        terms("ConsentGranted", uid(7), granted, until=day(4)),
        event("ConsentExpired", ANA, {"consent_id": uid(7)}),
    )

    assert consents.ask(due_to_expire, UNTIL) == [(UUID(BEN), UUID(uid(2))), (UUID(ANA), UUID(uid(1)))]
    assert consents.ask(due_to_expire, UNTIL, limit=1) == [(UUID(BEN), UUID(uid(2)))]
    assert consents.ask(due_to_expire, datetime(2026, 4, 30, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("whole", "due"),
    [(True, [(UUID(BEN), UUID(uid(2)))]), (False, [(UUID(ANA), UUID(uid(1))), (UUID(BEN), UUID(uid(2)))])],
)
@pytest.mark.parametrize("how", ["take", "take_one_by_one"])
def test_consents_of_a_person_who_is_erased_whole_never_fall_due(feed, how, whole, due):
    consents = feed(Consents())
    fenced = {
        "request_id": uid(70),
        "certificate_id": uid(71),
        "whole_person": whole,
        "scope_ids": [],
        "withheld": [],
        "withheld_grounds": [],
    }
    getattr(consents, how)(
        terms("ConsentRequested", uid(1), "2026-01-01T00:00:00.000000Z", until="2026-03-01T00:00:00.000000Z"),
        terms("ConsentGranted", uid(1), "2026-01-01T00:00:00.000000Z", until="2026-03-01T00:00:00.000000Z"),
        terms(
            "ConsentGranted", uid(2), "2026-01-01T00:00:00.000000Z", until="2026-04-01T00:00:00.000000Z", subject=BEN
        ),
        event("ErasureFenced", ANA, fenced),
    )

    assert consents.ask(due_to_expire, UNTIL) == due
    assert [item["state"] for item in consents.ask(consents_of, UUID(ANA), UNTIL)] == ["expired"]
