from uuid import UUID

import pytest
from view_records import ANA, BEN, CASE, CLINIC, event, kept, part, uid

from projections.disclosures import Disclosures, disclosures_of

CLINIC_NAME = part(CLINIC, "identity", uid(11))


def on_disclosure(type_: str, disclosure: str, at: str, actor: str = "m1", *, subject: str = ANA) -> dict:
    return event(type_, subject, {"disclosure_id": disclosure}, case=CASE, at=at, actor=actor)


def asked(type_: str, disclosure: str, at: str, actor: str = "m1", *, subject: str = ANA, **more) -> dict:
    data = {
        "disclosure_id": disclosure,
        "recipient_id": CLINIC,
        "disclosure_purpose": "treatment",
        "categories": ["medical"],
        "basis_type": "consent",
        "basis_id": uid(60),
        **more,
    }
    return event(type_, subject, data, case=CASE, at=at, actor=actor)


def shown(disclosure: str, state: str, **changes) -> dict:
    return {
        "id": disclosure,
        "case_id": CASE,
        "recipient_id": CLINIC,
        "recipient": kept(CLINIC_NAME, CLINIC, "RecipientRegistered", "identity"),
        "purpose": "treatment",
        "categories": ["medical"],
        "basis": {"type": "consent", "id": uid(60)},
        "state": state,
        "requested_at": "2026-03-01T10:00:00.000000Z",
        "requested_by": "m1",
        "authorized_at": None,
        "authorized_by": None,
        "released_at": None,
        **changes,
    }


REGISTERED = event("RecipientRegistered", CLINIC, {"kind": "provider"}, sealed={"identity": CLINIC_NAME})
FIRST = "2026-03-01T10:00:00.000000Z"
SECOND = "2026-03-02T10:00:00.000000Z"
THIRD = "2026-03-03T10:00:00.000000Z"


@pytest.mark.parametrize("how", ["take", "take_one_by_one"])
def test_the_accounting_of_a_persons_disclosures(feed, how):
    disclosures = feed(Disclosures())
    getattr(disclosures, how)(
        REGISTERED,
        *(asked("DisclosureRequested", uid(number), FIRST) for number in (1, 2, 3, 4, 5)),
        asked("DisclosureRequested", uid(6), FIRST, subject=BEN),
        on_disclosure("DisclosureAuthorized", uid(2), SECOND, "m2"),
        on_disclosure("DisclosureAuthorized", uid(3), SECOND, "m2"),
        asked("DisclosureReleased", uid(3), THIRD, agreement_id=uid(70), source_event_ids=[uid(80)]),
        on_disclosure("DisclosureDenied", uid(4), SECOND, "m2"),
        on_disclosure("DisclosureCancelled", uid(5), SECOND),
    )

    assert disclosures.ask(disclosures_of, UUID(ANA)) == [
        shown(uid(1), "requested"),
        shown(uid(2), "authorized", authorized_at=SECOND, authorized_by="m2"),
        shown(uid(3), "released", authorized_at=SECOND, authorized_by="m2", released_at=THIRD),
        shown(uid(4), "denied"),
        shown(uid(5), "cancelled"),
    ]


def test_a_disclosure_to_a_recipient_not_seen_here_is_shown_without_a_name(feed):
    disclosures = feed(Disclosures())
    disclosures.take(asked("DisclosureRequested", uid(1), FIRST))

    assert disclosures.ask(disclosures_of, UUID(ANA)) == [shown(uid(1), "requested", recipient=None)]
