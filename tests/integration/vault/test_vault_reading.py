import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from vault_people import seal_fact, seal_people

from domain.errors import Fenced, KeyNeverExisted, Tampered
from domain.sealed import Binding, Erased, KeyScope, SealedField
from vault.sealing import SealedValue, unseal

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_what_one_process_seals_another_opens(shared_keys, shared_vault):
    fact = seal_fact(shared_vault, uuid4(), case_id=uuid4())
    through_json = SealedField.from_json(json.loads(json.dumps(fact.field.to_json())))

    assert shared_keys.open().open(through_json) == fact.value


def test_a_page_opens_in_order_with_tombstones_between(shared_keys, shared_vault):
    facts = seal_people(shared_vault, 12, ("medical",))
    certificate = uuid4()
    shared_vault.destroy(certificate, AT, [facts[3].subject_id], [facts[7].scope_id])

    answers = shared_keys.open().open_many([fact.field for fact in facts])

    expected = [fact.value for fact in facts]
    expected[3] = Erased(facts[3].scope_id, AT, certificate)
    expected[7] = Erased(facts[7].scope_id, AT, certificate)
    assert answers == expected


def test_an_empty_page_asks_nothing(shared_vault, monkeypatch):
    monkeypatch.setattr(shared_vault._tree, "load", lambda _: pytest.fail("the keys cluster was asked"))

    assert shared_vault.open_many([]) == []


def test_a_scope_nobody_made_is_not_an_erasure(shared_vault):
    fact = seal_fact(shared_vault, uuid4())
    other = uuid4()
    sealed = replace(SealedValue.parse(fact.field.part.value), scope_id=other)
    part = replace(fact.field.part, scope_id=other, value=sealed.text())

    with pytest.raises(KeyNeverExisted) as unknown:
        shared_vault.open(SealedField(part, fact.field.binding))
    assert unknown.value.scope_id == other
    with pytest.raises(KeyNeverExisted):
        shared_vault.seal(other, "medical", fact.field.binding, {})


@pytest.mark.parametrize("name", ["stream_id", "event_id"])
def test_a_value_does_not_open_in_another_event(shared_vault, name):
    fact = seal_fact(shared_vault, uuid4())

    with pytest.raises(Tampered):
        shared_vault.open(SealedField(fact.field.part, replace(fact.field.binding, **{name: uuid4()})))


def test_a_value_does_not_open_for_another_person_scope_or_category(shared_vault):
    mine, other = seal_people(shared_vault, 2, ("medical",))
    sealed = SealedValue.parse(mine.field.part.value)
    other_person = replace(mine.field.part, subject_id=other.subject_id)
    moved = [
        SealedField(other_person, mine.field.binding),
        SealedField(other_person, replace(mine.field.binding, subject_id=other.subject_id)),
        SealedField(replace(mine.field.part, scope_id=other.scope_id), mine.field.binding),
        SealedField(replace(mine.field.part, category="identity"), mine.field.binding),
        SealedField(
            replace(mine.field.part, scope_id=other.scope_id, value=replace(sealed, scope_id=other.scope_id).text()),
            mine.field.binding,
        ),
    ]

    for field in moved:
        with pytest.raises(Tampered):
            shared_vault.open(field)


def test_pointing_at_an_erased_scope_does_not_make_a_living_person_look_erased(shared_vault):
    mine, other = seal_people(shared_vault, 2, ("medical",))
    shared_vault.destroy(uuid4(), AT, [other.subject_id], [])
    sealed = replace(SealedValue.parse(mine.field.part.value), scope_id=other.scope_id)
    part = replace(mine.field.part, scope_id=other.scope_id, value=sealed.text())

    with pytest.raises(Tampered):
        shared_vault.open(SealedField(part, mine.field.binding))


def test_sealing_for_another_person_or_category_than_the_scope_s_is_a_mistake(shared_vault):
    subject = uuid4()
    scope_id = shared_vault.scope(KeyScope(subject, "medical", None, 1))
    binding = Binding(subject, uuid4(), uuid4(), "IntakeSubmitted", 1, "answers")

    for category, place in [("identity", binding), ("medical", replace(binding, subject_id=uuid4()))]:
        with pytest.raises(ValueError, match="another person or category"):
            shared_vault.seal(scope_id, category, place, {})


def test_sealing_to_a_destroyed_scope_is_refused(shared_vault):
    fact = seal_fact(shared_vault, uuid4())
    shared_vault.destroy(uuid4(), AT, [], [fact.scope_id])

    with pytest.raises(Fenced) as fenced:
        shared_vault.seal(fact.scope_id, "medical", fact.field.binding, {})
    assert fenced.value.fenced == (fact.scope_id,)


def test_an_opening_opens_its_field_and_no_other(shared_vault):
    subject = uuid4()
    mine, other = seal_fact(shared_vault, subject), seal_fact(shared_vault, subject)

    key = shared_vault.opening(mine.field)

    assert unseal(key, SealedValue.parse(mine.field.part.value), mine.field.binding) == mine.value
    with pytest.raises(Tampered):
        unseal(key, SealedValue.parse(other.field.part.value), other.field.binding)
    shared_vault.destroy(uuid4(), AT, [subject], [])
    assert isinstance(shared_vault.opening(mine.field), Erased)


def test_the_scopes_of_a_person_with_their_state(shared_vault):
    subject, case = uuid4(), uuid4()
    facts = [seal_fact(shared_vault, subject, "medical", case), seal_fact(shared_vault, subject, "payment", None, 2)]
    seal_fact(shared_vault, uuid4())
    shared_vault.destroy(uuid4(), AT, [], [facts[0].scope_id])

    rows = {row.scope_id: (row.scope, row.state) for row in shared_vault.scopes_of(subject)}

    assert rows == {
        facts[0].scope_id: (KeyScope(subject, "medical", case, 1), "destroyed"),
        facts[1].scope_id: (KeyScope(subject, "payment", None, 2), "live"),
    }


def test_another_process_s_cache_answers_until_dropped(shared_keys, shared_vault):
    one, other = seal_people(shared_vault, 2, ("medical",))
    reader = shared_keys.holding()
    assert reader.open_many([one.field, other.field]) == [one.value, other.value]
    shared_vault.destroy(uuid4(), AT, [one.subject_id, other.subject_id], [])

    assert reader.open(one.field) == one.value
    reader.drop_cache([one.subject_id])
    assert isinstance(reader.open(one.field), Erased)
    assert reader.open(other.field) == other.value
    reader.drop_cache()
    assert isinstance(reader.open(other.field), Erased)
    reader.close()


def test_without_a_cache_every_read_sees_the_keys_as_they_are(shared_keys, shared_vault):
    fact = seal_fact(shared_vault, uuid4())
    reader = shared_keys.open(cache_seconds=0)
    assert reader.open(fact.field) == fact.value

    shared_vault.destroy(uuid4(), AT, [fact.subject_id], [])

    assert isinstance(reader.open(fact.field), Erased)


def test_a_cache_longer_than_the_promise_is_refused(shared_keys):
    with pytest.raises(ValueError, match="0 to 30"):
        shared_keys.open(cache_seconds=31)


def test_secrets_are_kept_in_the_keyring_by_name(shared_keys, shared_vault):
    made = shared_vault.secret("relay-mac")

    assert shared_keys.open().secret("relay-mac") == made
    assert shared_vault.secrets() == ["relay-mac"]
    shared_vault.destroy_secret("relay-mac")
    assert shared_vault.secrets() == []
