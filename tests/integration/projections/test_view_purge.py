"""Purging, in every view that keeps sealed values."""

import pytest
from view_records import (
    ANA,
    BEN,
    CASE,
    CERTIFICATE,
    CLINIC,
    OTHER_CASE,
    TOMBSTONE,
    case_opened,
    event,
    kept,
    keys_destroyed,
    part,
    registered,
    uid,
)

from projections.case_page import CasePage
from projections.disclosures import Disclosures
from projections.people import People
from projections.recipients import Recipients

IDENTITY, MEDICAL, INSURANCE, BENS = uid(10), uid(20), uid(21), uid(40)
ANOTHER = "ce470000-0000-4000-8000-000000000002"


def note(note_id: str, scope: str, subject: str = ANA, case: str = CASE) -> dict:
    sealed = {"note": part(subject, "medical", scope)}
    return event("NoteAdded", case, {"note_id": note_id}, subject=subject, case=case, sealed=sealed)


def kept_note(scope: str, subject: str = ANA, case: str = CASE) -> dict:
    return kept(part(subject, "medical", scope), case, "NoteAdded", "note")


def kept_identity(subject: str, scope: str) -> dict:
    return kept(part(subject, "identity", scope), subject, "SubjectRegistered", "identity")


def full_case(subject: str, case: str, first: int, scopes: tuple[str, str]) -> tuple[dict, ...]:
    medical = part(subject, "medical", scopes[0])
    insurance = part(subject, "insurance", scopes[1])
    data = {"intake_id": uid(first), "form": "medical_intake", "form_version": 1, "notice_version": "1"}
    task = {"task_id": uid(first + 2), "due": None, "assignee": None}
    about = {"subject": subject, "case": case}
    return (
        case_opened(case, subject),
        event("IntakeSubmitted", case, data, sealed={"medical": medical, "insurance": insurance}, **about),
        note(uid(first + 1), scopes[0], subject, case),
        event("TaskAdded", case, task, sealed={"title": medical}, **about),
    )


LOG = (
    registered(ANA, IDENTITY),
    registered(BEN, BENS),
    *full_case(ANA, CASE, 100, (MEDICAL, INSURANCE)),
    *full_case(BEN, OTHER_CASE, 200, (BENS, BENS)),
)


def sealed_values(page) -> dict[str, list]:
    return {
        "identities": [row[1] for row in page.rows("view_case_page_people", "subject_id, identity")],
        "medical": [row[1] for row in page.rows("view_case_page_intakes", "intake_id, medical")],
        "insurance": [row[1] for row in page.rows("view_case_page_intakes", "intake_id, insurance")],
        "notes": [row[1] for row in page.rows("view_case_page_notes", "note_id, note")],
        "titles": [row[1] for row in page.rows("view_case_page_tasks", "task_id, title")],
    }


def kept_of_ben() -> dict:
    medical = part(BEN, "medical", BENS)
    return {
        "identities": kept_identity(BEN, BENS),
        "medical": kept(medical, OTHER_CASE, "IntakeSubmitted", "medical"),
        "insurance": kept(part(BEN, "insurance", BENS), OTHER_CASE, "IntakeSubmitted", "insurance"),
        "notes": kept_note(BENS, BEN, OTHER_CASE),
        "titles": kept(medical, OTHER_CASE, "TaskAdded", "title"),
    }


def test_before_any_purge_all_values_are_there(feed):
    page = feed(CasePage())
    page.take(*LOG)
    values = sealed_values(page)

    assert [row["scope_id"] for column in values.values() for row in column] == [
        *(IDENTITY, BENS),
        *(MEDICAL, BENS),
        *(INSURANCE, BENS),
        *(MEDICAL, BENS),
        *(MEDICAL, BENS),
    ]


def test_the_whole_person_is_purged_and_nobody_else(feed):
    page = feed(CasePage())
    page.take(*LOG)
    page.take(keys_destroyed(ANA, [IDENTITY, MEDICAL, INSURANCE], whole=True))

    assert sealed_values(page) == {column: [TOMBSTONE, value] for column, value in kept_of_ben().items()}


def test_the_whole_person_is_purged_also_of_scopes_that_are_not_listed(feed):
    page = feed(CasePage())
    page.take(*LOG, keys_destroyed(ANA, [], whole=True))

    assert [column[0] for column in sealed_values(page).values()] == [TOMBSTONE] * 5


def test_one_scope_is_purged_and_the_persons_others_are_kept(feed):
    page = feed(CasePage())
    page.take(*LOG, keys_destroyed(ANA, [MEDICAL], whole=False))
    values = {column: row[0] for column, row in sealed_values(page).items()}

    assert values == {
        "identities": kept_identity(ANA, IDENTITY),
        "medical": TOMBSTONE,
        "insurance": kept(part(ANA, "insurance", INSURANCE), CASE, "IntakeSubmitted", "insurance"),
        "notes": TOMBSTONE,
        "titles": TOMBSTONE,
    }


@pytest.mark.parametrize("batches", ["one batch", "one by one"])
def test_what_comes_after_the_purge_of_a_scope_stays_a_tombstone(feed, batches):
    page = feed(CasePage())
    log = (
        *LOG,
        keys_destroyed(ANA, [MEDICAL], whole=False),
        note(uid(301), MEDICAL),
        note(uid(302), uid(25)),
        note(uid(303), BENS, BEN, OTHER_CASE),
    )
    page.take(*log) if batches == "one batch" else page.take_one_by_one(*log)

    notes = dict(page.rows("view_case_page_notes", "note_id::text, note"))
    assert notes == {
        uid(101): TOMBSTONE,
        uid(201): kept_note(BENS, BEN, OTHER_CASE),
        uid(301): TOMBSTONE,
        uid(302): kept_note(uid(25)),
        uid(303): kept_note(BENS, BEN, OTHER_CASE),
    }


@pytest.mark.parametrize("batches", ["one batch", "one by one"])
def test_what_comes_after_the_purge_of_a_person_stays_a_tombstone_under_any_scope(feed, batches):
    page = feed(CasePage())
    amended = {
        **full_case(ANA, CASE, 100, (uid(26), uid(27)))[1],
        "type": "IntakeAmended",
    }
    log = (*LOG, keys_destroyed(ANA, [MEDICAL], whole=True), note(uid(301), uid(25)), amended)
    page.take(*log) if batches == "one batch" else page.take_one_by_one(*log)
    values = sealed_values(page)

    assert values["notes"] == [TOMBSTONE, kept_note(BENS, BEN, OTHER_CASE), TOMBSTONE]
    assert (values["medical"][0], values["insurance"][0]) == (TOMBSTONE, TOMBSTONE)


def test_a_tombstone_keeps_naming_the_certificate_that_erased_it(feed):
    page = feed(CasePage())
    page.take(*LOG, keys_destroyed(ANA, [MEDICAL], whole=False))
    again = keys_destroyed(ANA, [IDENTITY, MEDICAL, INSURANCE], whole=True, certificate=ANOTHER)
    page.take(again, note(uid(301), MEDICAL))
    page.take(note(uid(302), MEDICAL))
    values = sealed_values(page)
    later = {"erased": {**TOMBSTONE["erased"], "certificate_id": ANOTHER}}

    assert (values["identities"][0], values["insurance"][0]) == (later, later)
    assert (values["medical"][0], values["notes"][0], *values["notes"][2:]) == (TOMBSTONE,) * 4


def test_a_purge_taken_in_twice_changes_nothing_more(feed):
    page = feed(CasePage())
    page.take(*LOG, keys_destroyed(ANA, [MEDICAL], whole=False))
    before = sealed_values(page)
    page.take(keys_destroyed(ANA, [MEDICAL], whole=False))

    assert sealed_values(page) == before


def test_a_rebuilt_view_comes_to_the_same_rows(feed):
    log = (*LOG, keys_destroyed(ANA, [MEDICAL, IDENTITY], whole=False), note(uid(301), MEDICAL))
    page = feed(CasePage())
    page.take_one_by_one(*log)
    before = sealed_values(page)
    rebuilt = feed(CasePage())

    assert sealed_values(rebuilt)["notes"] == []
    rebuilt.take(*log)
    assert sealed_values(rebuilt) == before


def test_the_people_view_purges(feed):
    people = feed(People())
    people.take(registered(ANA, IDENTITY), registered(BEN, BENS), keys_destroyed(ANA, [IDENTITY], whole=False))

    assert people.rows("view_people", "subject_id::text, state, identity") == [
        (ANA, "registered", TOMBSTONE),
        (BEN, "registered", kept_identity(BEN, BENS)),
    ]


@pytest.mark.parametrize(
    ("view", "table"), [(Recipients, "view_recipients"), (Disclosures, "view_disclosures_recipients")]
)
def test_a_recipient_who_is_a_person_is_purged(feed, view, table):
    recipients = feed(view())
    for recipient, scope in ((CLINIC, uid(11)), (uid(50), uid(12))):
        sealed = {"identity": part(recipient, "identity", scope)}
        recipients.take(event("RecipientRegistered", recipient, {"kind": "provider"}, sealed=sealed))
    recipients.take(keys_destroyed(CLINIC, [uid(11)], whole=True))

    assert dict(recipients.rows(table, "recipient_id::text, identity")) == {
        CLINIC: TOMBSTONE,
        uid(50): kept(part(uid(50), "identity", uid(12)), uid(50), "RecipientRegistered", "identity"),
    }


def test_a_purge_finds_its_rows_by_index(feed):
    page = feed(CasePage())
    with page.connection, page.connection.cursor() as cursor:
        for column in CasePage.sealed:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute(
                f"EXPLAIN SELECT FROM {column.table} WHERE {column.column} ->> 'subject_id' = %s", (CERTIFICATE,)
            )
            assert "Index" in cursor.fetchone()[0]
