"""The blind index: its tags, who is found by them, purging, and what it does when keys are away."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sealed_people import ADA, ADAS_TERMS, answered, engaged, registered, scope_of, tag
from view_records import CASE, CERTIFICATE, OTHER_CASE, TOMBSTONE, keys_destroyed, uid

from domain.errors import InvalidInput, KeysUnavailable, RecordUnfit
from projections.purges import reported
from projections.search_index import SearchIndex, candidates, current_epoch
from vault import blind_index
from vault.vault import Vault

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
EPOCH = blind_index.epoch_at(NOW, 30)
INTAKE = uid(100)


@pytest.fixture
def ada() -> str:
    return str(uuid4())


@pytest.fixture
def index(feed, vault):
    return feed(SearchIndex(vault, 30, lambda: NOW))


def key(vault: Vault, epoch: int = EPOCH) -> bytes:
    return vault.secret(f"index-{epoch}")


def expected(vault: Vault, person: str, terms: dict[str, str], source: str | None = None) -> set[tuple[Any, ...]]:
    return {(EPOCH, f, tag(key(vault), f, t), source or person, person) for f, t in terms.items()}


def tags(index) -> set[tuple[Any, ...]]:
    return set(index.rows("view_search_index_tags", "epoch, field, tag, source_id::text, subject_id::text"))


def found(index, vault: Vault, limit: int = 50, start: str | None = None, **terms: str) -> list[str]:
    asked = {field: tag(key(vault), field, term) for field, term in terms.items()}
    return [item["id"] for item in index.ask(candidates, EPOCH, asked, limit, start).items]


def test_what_a_person_is_found_by_becomes_tags_under_the_key_of_the_epoch(index, vault, ada):
    index.take(registered(vault, ada), answered(vault, ada, CASE, INTAKE, "EM-0001"))

    by_number = expected(vault, ada, {"record_number": "em0001"}, INTAKE)
    assert tags(index) == expected(vault, ada, ADAS_TERMS) | by_number
    assert index.ask(current_epoch) == EPOCH
    assert index.rows("view_search_index_epochs", "epoch, state") == [(EPOCH, "current")]


@pytest.mark.parametrize("batches", ["one", "each its own"])
def test_a_person_engaged_anew_is_found_by_the_identity_of_now(index, vault, ada, batches):
    records = registered(vault, ada, family_name="Before"), engaged(vault, ada, family_name="After")
    (index.take if batches == "one" else index.take_one_by_one)(*records)

    assert found(index, vault, family_name="after") == [ada]
    assert found(index, vault, family_name="before") == []
    assert len(index.rows("view_search_index_sources", "source_id")) == 1


def test_an_erasure_of_the_first_engagement_leaves_the_second_found_and_one_of_the_second_does_not(index, vault, ada):
    first, second = registered(vault, ada), engaged(vault, ada, family_name="After")
    index.take(first, second, keys_destroyed(ada, [scope_of(first, "identity")], whole=False))
    left = found(index, vault, family_name="after")
    index.take(keys_destroyed(ada, [scope_of(second, "identity")], whole=False))

    assert left == [ada]
    assert tags(index) == set()


def test_no_value_is_in_the_tables_in_clear(index, vault, ada):
    marks = {
        "given_name": "Qxgiven",
        "family_name": "Qxfamily",
        "email": "qxmail@example.org",
        "phone": "+999123456789",
    }
    index.take(registered(vault, ada, **marks), answered(vault, ada, CASE, INTAKE, "QXNUMBER77"))
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(t::text, ' ') FROM (SELECT s::text FROM view_search_index_sources s "
            "UNION ALL SELECT g::text FROM view_search_index_tags g UNION ALL SELECT e::text FROM "
            "view_search_index_epochs e) AS all_rows(t)"
        )
        text = cursor.fetchone()[0].lower()

    assert ada in text
    for mark in ("qxgiven", "qxfamily", "qxmail", "123456789", "23456789", "qxnumber77", "1970-02-03"):
        assert mark not in text


def test_only_those_who_have_all_that_is_asked_for_are_found_newest_first(index, vault):
    first, second, third = (str(uuid4()) for _ in range(3))
    index.take(
        registered(vault, first, "2026-03-01T10:00:00.000000Z"),
        registered(vault, second, "2026-03-03T10:00:00.000000Z"),
        registered(vault, third, "2026-03-02T10:00:00.000000Z", given_name="Ben", email=None),
    )

    assert found(index, vault, family_name="obrien", birth_date="1970-02-03") == [second, third, first]
    assert found(index, vault, family_name="obrien", given_name="ada") == [second, first]
    assert found(index, vault, family_name="obrien", email="ada@example.org", given_name="ben") == []
    assert found(index, vault, email="nobody@example.org") == []


def test_the_next_page_starts_where_the_last_one_ended(index, vault):
    people = [str(uuid4()) for _ in range(5)]
    index.take(*[registered(vault, p, f"2026-03-0{n}T10:00:00.000000Z") for n, p in enumerate(people, 1)])
    asked = {"email": tag(key(vault), "email", "ada@example.org")}
    seen, start = [], None
    for _ in range(3):
        page = index.ask(candidates, EPOCH, asked, 2, start)
        seen.append([item["id"] for item in page.items])
        start = page.next

    assert seen == [people[:2:-1], people[2:0:-1], people[:1]]
    assert start is None


def test_a_field_that_there_is_not_or_a_bad_page_is_refused(index, vault):
    for asked in ({}, {"address": 1}):
        with pytest.raises(ValueError, match="no field"):
            index.ask(candidates, EPOCH, asked)
    for page in ({"limit": 0}, {"start": "x"}):
        with pytest.raises(InvalidInput):
            index.ask(candidates, EPOCH, {"email": 1}, **page)


def test_the_insurance_that_matched_comes_with_the_person(index, vault, ada):
    one, other = answered(vault, ada, CASE, INTAKE, "EM-0001"), answered(vault, ada, OTHER_CASE, uid(101), "EM-0002")
    index.take(registered(vault, ada), one, other)
    asked = {"record_number": tag(key(vault), "record_number", "em0001")}
    [item] = index.ask(candidates, EPOCH, asked).items

    assert item["id"] == ada
    assert item["identity"]["value"].startswith("ck1.")
    assert [insurance["scope_id"] for insurance in item["insurances"]] == [scope_of(one, "insurance")]


def test_an_amended_intake_is_found_by_its_new_number_only(index, vault, ada):
    index.take(registered(vault, ada), answered(vault, ada, CASE, INTAKE, "EM-0001"))
    index.take(answered(vault, ada, CASE, INTAKE, "EM-0009", "IntakeAmended"))

    assert found(index, vault, record_number="em0001") == []
    assert found(index, vault, record_number="em0009") == [ada]

    index.take(answered(vault, ada, CASE, INTAKE, None, "IntakeAmended"))
    assert found(index, vault, record_number="em0009") == []
    assert tags(index) == expected(vault, ada, ADAS_TERMS)


@pytest.mark.parametrize("batches", ["one batch", "one by one"])
def test_the_whole_person_is_purged_and_nobody_else(index, vault, ada, batches):
    ben = str(uuid4())
    log = (
        registered(vault, ada),
        registered(vault, ben, given_name="Ben"),
        answered(vault, ada, CASE, INTAKE, "EM-0001"),
        keys_destroyed(ada, [], whole=True),
    )
    index.take(*log) if batches == "one batch" else index.take_one_by_one(*log)

    assert tags(index) == expected(vault, ben, {**ADAS_TERMS, "given_name": "ben"})
    kept = dict(index.rows("view_search_index_sources", "source_id::text, value"))
    assert (kept[ada], kept[INTAKE]) == (TOMBSTONE, TOMBSTONE)
    assert index.ask(reported, [UUID(CERTIFICATE)]) == {UUID(CERTIFICATE): {"search_index": 4}}


def test_one_scope_is_purged_and_the_persons_others_are_found_still(index, vault, ada):
    answers = answered(vault, ada, CASE, INTAKE, "EM-0001")
    index.take(registered(vault, ada), answers, answered(vault, ada, OTHER_CASE, uid(101), "EM-0002"))
    index.take(keys_destroyed(ada, [scope_of(answers, "insurance")], whole=False))

    assert tags(index) == expected(vault, ada, ADAS_TERMS) | expected(vault, ada, {"record_number": "em0002"}, uid(101))


def test_what_comes_after_the_purge_has_no_tags(index, vault, ada):
    index.take(registered(vault, ada), keys_destroyed(ada, [], whole=True))
    index.take(answered(vault, ada, CASE, INTAKE, "EM-0001"))

    assert tags(index) == set()


def test_a_key_that_is_destroyed_before_the_view_got_there_leaves_no_tags(index, vault, ada):
    record = registered(vault, ada)
    vault.destroy(uuid4(), NOW, [UUID(ada)], [])
    index.take(record)

    assert tags(index) == set()
    index.take(keys_destroyed(ada, [scope_of(record, "identity")], whole=True))
    assert index.rows("view_search_index_sources", "source_id::text, value") == [(ada, TOMBSTONE)]


def test_a_rebuilt_view_comes_to_the_same_rows(feed, index, vault, ada):
    ben = str(uuid4())
    log = (
        registered(vault, ada),
        answered(vault, ada, CASE, INTAKE, "EM-0001"),
        registered(vault, ben),
        answered(vault, ada, CASE, INTAKE, "EM-0009", "IntakeAmended"),
        keys_destroyed(ben, [], whole=True),
    )
    index.take_one_by_one(*log)
    before = tags(index), index.rows("view_search_index_sources", "source_id::text, value")
    rebuilt = feed(SearchIndex(vault, 30, lambda: NOW))
    assert tags(rebuilt) == set()
    rebuilt.take(*log)

    assert (tags(rebuilt), rebuilt.rows("view_search_index_sources", "source_id::text, value")) == before


def test_keys_that_are_away_are_an_outage_and_nothing_is_taken_in(index, vault, ada, monkeypatch):
    index.take(registered(vault, str(uuid4()), email="other@example.org"))
    before, position = tags(index), index.position

    def away(*_: Any) -> None:
        raise KeysUnavailable("down")

    record = registered(vault, ada)
    with monkeypatch.context() as during:
        during.setattr(vault, "open_many", away)
        with pytest.raises(KeysUnavailable):
            index.take(record)
    assert (tags(index), index.rows("view_search_index_sources", "count(*)")) == (before, [(1,)])

    assert index.position == position
    index.take(record)
    assert found(index, vault, email="ada@example.org") == [ada]


def test_purging_needs_no_keys(index, vault, ada, monkeypatch):
    index.take(registered(vault, ada))

    def away(*_: Any) -> None:
        raise KeysUnavailable("down")

    for method in ("secret", "open_many"):
        monkeypatch.setattr(vault, method, away)
    index.take(keys_destroyed(ada, [], whole=True))

    assert index.rows("view_search_index_tags", "count(*)") == [(0,)]


@pytest.mark.parametrize("damage", ["moved to another person", "not of a known scope"])
def test_a_value_that_does_not_open_is_the_fault_of_its_record_and_is_not_quoted(index, vault, ada, damage):
    record = json.loads(json.dumps(registered(vault, ada)))
    if damage == "moved to another person":
        record["sealed"]["identity"]["value"] = registered(vault, str(uuid4()))["sealed"]["identity"]["value"]
    else:
        from vault.sealing import SealedValue

        value = SealedValue.parse(record["sealed"]["identity"]["value"])
        strange = SealedValue(uuid4(), value.nonce, value.ciphertext, value.commitment)
        record["sealed"]["identity"] |= {"value": strange.text(), "scope_id": str(strange.scope_id)}
    with pytest.raises(RecordUnfit) as refused:
        index.take(record)

    assert (refused.value.view, refused.value.first) == ("search_index", 1)
    assert refused.value.reason == ("Tampered" if damage.startswith("moved") else "KeyNeverExisted")
    assert ADA["email"] not in "".join(traceback.format_exception(refused.value))
    assert index.rows("view_search_index_sources", "source_id") == []
