from uuid import UUID

from view_records import ANA, BEN, TOMBSTONE, event, kept, keys_destroyed, part, registered, uid

from projections.people import People, identities, person


def fenced(subject: str, *, whole: bool) -> dict:
    data = {
        "request_id": uid(1),
        "certificate_id": uid(2),
        "whole_person": whole,
        "scope_ids": [uid(10)],
        "withheld": [],
        "withheld_grounds": [],
    }
    return event("ErasureFenced", subject, data)


def test_a_registered_person_is_shown_with_identity_sealed(feed):
    people = feed(People())
    people.take(registered(ANA, uid(10)))

    assert people.ask(person, UUID(ANA)) == {
        "id": ANA,
        "state": "registered",
        "language": "pt",
        "registered_at": "2026-03-01T10:00:00.000000Z",
        "identity": kept(part(ANA, "identity", uid(10)), ANA, "SubjectRegistered", "identity"),
    }


def test_identities_of_several_people_at_once(feed):
    people = feed(People())
    people.take(registered(ANA, uid(10)), registered(BEN, uid(11)), keys_destroyed(BEN, [uid(11)], whole=False))

    assert people.ask(identities, [UUID(ANA), UUID(BEN), UUID(uid(99))]) == {
        ANA: kept(part(ANA, "identity", uid(10)), ANA, "SubjectRegistered", "identity"),
        BEN: TOMBSTONE,
    }


def test_nobody_is_shown_under_an_unknown_id(feed):
    assert feed(People()).ask(person, UUID(BEN)) is None


def test_the_state_follows_the_erasure_of_the_whole_person(feed):
    people = feed(People())
    states = []
    for written in (registered(ANA, uid(10)), fenced(ANA, whole=True), keys_destroyed(ANA, [uid(10)], whole=True)):
        people.take(written)
        states.append(people.ask(person, UUID(ANA))["state"])

    assert states == ["registered", "fenced", "erased"]


def engaged(subject: str, scope_id: str) -> dict:
    data, sealed = {"engagement": 2, "language": "es"}, {"identity": part(subject, "identity", scope_id)}
    return event("EngagementStarted", subject, data, sealed=sealed)


def test_a_new_engagement_brings_the_identity_of_now_and_an_older_erasure_leaves_it(feed):
    people = feed(People())
    people.take(registered(ANA, uid(10)), engaged(ANA, uid(20)), keys_destroyed(ANA, [uid(10)], whole=False))

    shown = people.ask(person, UUID(ANA))
    assert shown["language"] == "es"
    assert shown["identity"] == kept(part(ANA, "identity", uid(20)), ANA, "EngagementStarted", "identity")


def test_an_engagement_taken_in_after_the_purge_is_a_tombstone(feed):
    people = feed(People())
    people.take(registered(ANA, uid(10)), keys_destroyed(ANA, [uid(20)], whole=False), engaged(ANA, uid(20)))

    assert people.ask(person, UUID(ANA))["identity"] == TOMBSTONE


def test_a_person_whose_registration_is_taken_in_after_the_purge_is_erased(feed):
    people = feed(People())
    people.take(keys_destroyed(ANA, [uid(10)], whole=True), registered(BEN, uid(11)))
    people.take(registered(ANA, uid(10)))

    assert people.ask(person, UUID(ANA))["state"] == "erased"
    assert people.ask(person, UUID(ANA))["identity"] == TOMBSTONE
    assert people.ask(person, UUID(BEN))["state"] == "registered"


def test_the_erasure_of_a_part_leaves_the_person_registered(feed):
    people = feed(People())
    people.take(registered(ANA, uid(10)), fenced(ANA, whole=False), keys_destroyed(ANA, [uid(99)], whole=False))

    assert people.ask(person, UUID(ANA))["state"] == "registered"
