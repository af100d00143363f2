from uuid import UUID

from view_records import CLINIC, event, kept, part, uid

from projections.recipients import Recipients, recipient, recipients


def recipient_registered(recipient_id: str, at: str = "2026-03-01T10:00:00.000000Z") -> dict:
    sealed = {"identity": part(recipient_id, "identity", uid(11))}
    return event("RecipientRegistered", recipient_id, {"kind": "provider"}, sealed=sealed, at=at)


def agreed(agreement: str, starts: str, ends: str | None) -> dict:
    data = {"agreement_id": agreement, "purposes": ["treatment", "legal"], "valid_from": starts, "valid_until": ends}
    return event("AgreementRegistered", CLINIC, data)


def test_a_recipient_is_shown_with_its_agreements_the_earliest_first(feed):
    view = feed(Recipients())
    view.take(
        recipient_registered(CLINIC),
        agreed(uid(2), "2026-06-01T00:00:00.000000Z", None),
        agreed(uid(1), "2026-01-01T00:00:00.000000Z", "2026-06-01T00:00:00.000000Z"),
    )

    assert view.ask(recipient, UUID(CLINIC)) == {
        "id": CLINIC,
        "kind": "provider",
        "registered_at": "2026-03-01T10:00:00.000000Z",
        "identity": kept(part(CLINIC, "identity", uid(11)), CLINIC, "RecipientRegistered", "identity"),
        "agreements": [
            {
                "id": uid(1),
                "purposes": ["treatment", "legal"],
                "valid_from": "2026-01-01T00:00:00.000000Z",
                "valid_until": "2026-06-01T00:00:00.000000Z",
            },
            {
                "id": uid(2),
                "purposes": ["treatment", "legal"],
                "valid_from": "2026-06-01T00:00:00.000000Z",
                "valid_until": None,
            },
        ],
    }
    assert view.ask(recipient, UUID(uid(99))) is None


def test_recipients_are_listed_newest_first_in_pages(feed):
    view = feed(Recipients())
    assert view.ask(recipients).items == []
    for number in (1, 2, 3):
        view.take(recipient_registered(uid(number), f"2026-03-0{number}T10:00:00.000000Z"))
    first = view.ask(recipients, limit=2)
    second = view.ask(recipients, limit=2, start=first.next)

    assert [item["id"] for item in first.items] == [uid(3), uid(2)]
    assert [(item["id"], item["agreements"]) for item in second.items] == [(uid(1), [])]
    assert second.next is None
