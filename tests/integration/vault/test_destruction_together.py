"""Several certificates destroyed in one rotation: each with its own record, none held up by another."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from vault_keys import KILLED, dying_at, in_a_child
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import InvalidInput, KeyNeverExisted, Tampered
from vault.destruction_request import DestructionRequest
from vault.forgetting import ROOT_CREATED, STEPS

AT = datetime(2026, 3, 4, tzinfo=UTC)


def request(*facts, scopes=(), at=AT):
    people = frozenset(fact.subject_id for fact in facts)
    return DestructionRequest(uuid4(), at, people, frozenset(fact.scope_id for fact in scopes))


def test_certificates_due_together_share_one_root_change_and_have_each_its_own_record(keys, vault):
    facts = seal_people(vault, 30)
    later = AT + timedelta(days=1)
    one, two, three = request(facts[0]), request(facts[10], at=later), request(scopes=[facts[21], facts[40]])

    outcomes = vault.destroy_many([one, two, three])

    assert [outcomes[r.certificate_id].scope_ids for r in (one, two, three)] == [
        sorted(fact.scope_id for fact in facts[0:2]),
        sorted(fact.scope_id for fact in facts[10:12]),
        sorted([facts[21].scope_id, facts[40].scope_id]),
    ]
    assert {(o.root_epoch_before, o.root_epoch_after) for o in outcomes.values()} == {(1, 2)}
    assert len({o.destroyed_at for o in outcomes.values()}) == 1
    assert all(len(o.fingerprints) == 2 for o in outcomes.values())
    assert len(keys.roots()) == 1
    for process in (vault, keys.open()):
        assert all_erased(process, facts[0:2], one.certificate_id)
        assert all_erased(process, facts[10:12], two.certificate_id)
        assert all_erased(process, [facts[21], facts[40]], three.certificate_id)
        assert process.open(facts[10].field).at == later
        gone = {0, 1, 10, 11, 21, 40}
        assert all_open(process, [fact for number, fact in enumerate(facts) if number not in gone])


def test_each_is_repeated_alone_or_with_new_ones(keys, vault):
    facts = seal_people(vault, 4, ("medical",))
    one, two, new = request(facts[0]), request(facts[1]), request(facts[2])
    first = vault.destroy_many([one, two])

    assert keys.open().destroy(one.certificate_id, AT, one.subject_ids, []) == first[one.certificate_id]
    again = vault.destroy_many([two, new, one])

    assert {r.certificate_id: again[r.certificate_id] for r in (one, two)} == first
    assert again[new.certificate_id].scope_ids == [facts[2].scope_id]
    assert again[new.certificate_id].root_epoch_after == 3
    assert vault.destroy_many([two, one]) == first
    assert keys.sql("SELECT epoch FROM key_root") == [(3,)]
    assert all_open(keys.open(), facts[3:])


def test_one_that_cannot_be_carried_out_keeps_no_other_from_it(keys, vault):
    facts = seal_people(vault, 4, ("medical",))
    used = request(facts[0])
    vault.destroy_many([used])
    more = DestructionRequest(used.certificate_id, AT, frozenset([facts[3].subject_id]), frozenset())
    unknown_id = uuid4()
    unknown = DestructionRequest(uuid4(), AT, frozenset([facts[3].subject_id]), frozenset([unknown_id]))
    one, two = request(facts[1]), request(facts[2])

    outcomes = vault.destroy_many([more, one, unknown, two])

    assert isinstance(outcomes[more.certificate_id], InvalidInput)
    assert isinstance(outcomes[unknown.certificate_id], KeyNeverExisted)
    assert outcomes[unknown.certificate_id].scope_id == unknown_id
    assert all_erased(keys.open(), facts[1:2], one.certificate_id)
    assert all_erased(keys.open(), facts[2:3], two.certificate_id)
    assert all_open(keys.open(), facts[3:])
    assert keys.sql("SELECT count(*) FROM destruction WHERE certificate_id = %s", unknown.certificate_id) == [(0,)]


def test_nothing_is_turned_when_all_are_refused_or_nothing_is_asked(keys, vault):
    fact = seal_fact(vault, uuid4())
    unknown = DestructionRequest(uuid4(), AT, frozenset(), frozenset([uuid4()]))

    assert isinstance(vault.destroy_many([unknown])[unknown.certificate_id], KeyNeverExisted)
    assert vault.destroy_many([]) == {}

    assert keys.sql("SELECT epoch FROM key_root") == [(1,)]
    assert vault.open(fact.field) == fact.value


def test_what_two_ask_for_goes_under_the_certificate_of_the_first(keys, vault):
    subject = uuid4()
    medical, payment = seal_fact(vault, subject, "medical"), seal_fact(vault, subject, "payment")
    [other] = seal_people(vault, 1, ("medical",))
    scope, person, same = request(scopes=[medical]), request(payment), request(payment, scopes=[medical])

    outcomes = vault.destroy_many([scope, person, same])

    assert outcomes[scope.certificate_id].scope_ids == [medical.scope_id]
    assert outcomes[person.certificate_id].scope_ids == [payment.scope_id]
    assert outcomes[same.certificate_id].scope_ids == []
    assert all_erased(keys.open(), [medical], scope.certificate_id)
    assert all_erased(keys.open(), [payment], person.certificate_id)
    assert all_open(keys.open(), [other])


def test_a_certificate_asked_for_twice_is_a_mistake_of_the_caller(vault):
    one = request(seal_fact(vault, uuid4()))

    with pytest.raises(ValueError, match="twice"):
        vault.destroy_many([one, one])


def test_one_unreadable_row_keeps_the_root_and_destroys_nobody(keys, vault):
    facts = seal_people(vault, 40, ("medical",))
    keys.sql(
        "UPDATE key_node SET wrapped = set_byte(wrapped, 30, 255 - get_byte(wrapped, 30)) WHERE node_id = %s",
        facts[0].subject_id,
    )

    with pytest.raises(Tampered):
        vault.destroy_many([request(facts[1]), request(facts[39])])

    assert keys.sql("SELECT epoch FROM key_root") == [(1,)]
    assert all_open(keys.open(), facts[1:])


def _together_and_die(keys, step, requests) -> None:
    keys.open(after_step=dying_at(step)).destroy_many(requests)


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_they_come_to_the_same_end(keys, vault, step):
    facts = seal_people(vault, 12)
    requests = [request(facts[0]), request(facts[8]), request(scopes=[facts[5]])]
    assert in_a_child(_together_and_die, keys, step, requests) == KILLED

    alone = keys.open().destroy(requests[1].certificate_id, AT, requests[1].subject_ids, [])
    outcomes = keys.open().destroy_many(requests)

    assert outcomes[requests[1].certificate_id] == alone
    assert keys.sql("SELECT count(*), count(finished_at) FROM destruction") == [(3, 3)]
    epochs = sorted(outcome.root_epoch_after for outcome in outcomes.values())
    # Killed before the commit, the one that was asked for alone went first.
    assert epochs == ([2, 3, 3] if step == ROOT_CREATED else [2, 2, 2])
    assert len(keys.roots()) == 1
    for asked, gone in zip(requests, (facts[0:2], facts[8:10], [facts[5]]), strict=True):
        assert all_erased(keys.open(), gone, asked.certificate_id)
    assert all_open(keys.open(), [fact for n, fact in enumerate(facts) if n not in (0, 1, 5, 8, 9)])
