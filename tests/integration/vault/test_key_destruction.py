from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from vault_people import all_erased, all_open, seal_fact, seal_people

from domain.errors import InvalidInput, KeyNeverExisted, Tampered
from domain.sealed import Erased, KeyScope
from vault.forgetting import OLD_ROOT_DESTROYED, STEPS
from vault.nodes import OpenedTree
from vault.primitives import SecretKey
from vault.tree_rows import paths

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2)))


def node_fingerprints(keys):
    return dict(keys.sql("SELECT node_id, fingerprint::text FROM key_node WHERE kind IN ('person', 'data')"))


def test_forgetting_some_of_two_hundred_people_leaves_all_others_as_they_were(keys, vault):
    facts = seal_people(vault, 200)
    people = [fact.subject_id for fact in facts[::2]]
    before = node_fingerprints(keys)
    certificate = uuid4()
    gone = {people[0], people[77], people[199]}

    destruction = vault.destroy(certificate, AT, list(gone), [])

    erased = [fact for fact in facts if fact.subject_id in gone]
    others = [fact for fact in facts if fact.subject_id not in gone]
    assert keys.sql("SELECT top_level FROM key_root") == [(4,)]
    for process in (vault, keys.open()):
        assert all_open(process, others)
        assert all_erased(process, erased, certificate)
    assert destruction.scope_ids == sorted(fact.scope_id for fact in erased)
    assert (destruction.root_epoch_before, destruction.root_epoch_after) == (1, 2)
    after = node_fingerprints(keys)
    assert after == {node_id: before[node_id] for node_id in before if node_id in after}
    assert before.keys() - after.keys() == gone | set(destruction.scope_ids)


def test_destroying_one_scope_keeps_the_person_s_others(keys, vault):
    subject, case = uuid4(), uuid4()
    medical = seal_fact(vault, subject, "medical", case)
    others = [seal_fact(vault, subject, "payment"), seal_fact(vault, subject, "medical"), *seal_people(vault, 5)]
    certificate = uuid4()

    destruction = vault.destroy(certificate, AT, [], [medical.scope_id])

    assert destruction.scope_ids == [medical.scope_id]
    assert all_erased(keys.open(), [medical], certificate)
    assert all_open(keys.open(), others)


def test_people_and_single_scopes_go_in_one_rotation(keys, vault):
    facts = seal_people(vault, 30)
    people, scopes = [facts[0].subject_id, facts[20].subject_id], [facts[1].scope_id, facts[40].scope_id]
    certificate = uuid4()

    destruction = vault.destroy(certificate, AT, people, scopes)

    erased = [fact for fact in facts if fact.subject_id in people or fact.scope_id in scopes]
    assert len(erased) == 5
    assert set(destruction.scope_ids) == {fact.scope_id for fact in erased}
    assert (destruction.root_epoch_before, destruction.root_epoch_after) == (1, 2)
    assert all_erased(keys.open(), erased, certificate)
    assert all_open(keys.open(), [fact for fact in facts if fact not in erased])


def test_the_tombstone_says_when_in_utc_and_under_which_certificate(keys, vault):
    fact, certificate = seal_fact(vault, uuid4()), uuid4()

    vault.destroy(certificate, AT, [fact.subject_id], [])

    answer = keys.open().open(fact.field)
    assert answer == Erased(fact.scope_id, AT, certificate)
    assert answer.at.utcoffset() == timedelta(0)


def test_fingerprints_are_those_of_the_destroyed_keys(vault, keys):
    facts = seal_people(vault, 2)
    loaded = vault._tree.load([fact.scope_id for fact in facts])
    expected = {scope_id: found.key.fingerprint().hex() for scope_id, found in loaded.items()}

    destruction = vault.destroy(uuid4(), AT, [facts[0].subject_id], [])

    assert dict(zip(destruction.scope_ids, destruction.fingerprints, strict=True)) == {
        fact.scope_id: expected[fact.scope_id] for fact in facts[:2]
    }


def test_destroyed_at_is_when_the_old_root_was_gone(keys, vault):
    subject, gone = seal_fact(vault, uuid4()).subject_id, []

    def look(step: str) -> None:
        if step == OLD_ROOT_DESTROYED:
            gone.extend(keys.sql("SELECT clock_timestamp()"))

    destruction = keys.open(after_step=look).destroy(uuid4(), AT, [subject], [])

    [(root_gone_at,)] = gone
    [(now,)] = keys.sql("SELECT clock_timestamp()")
    assert root_gone_at <= destruction.destroyed_at <= now


def test_the_keyring_holds_one_root_key_after_each_destruction(keys, vault):
    facts = seal_people(vault, 5, ("medical",))

    for epoch, fact in enumerate(facts, start=2):
        vault.destroy(uuid4(), AT, [fact.subject_id], [])
        [root] = keys.roots()
        assert root.startswith(f"root-{epoch:012d}-")


def test_a_repeat_gives_the_first_answer_and_turns_no_root(keys, vault):
    fact, certificate = seal_fact(vault, uuid4()), uuid4()
    first = vault.destroy(certificate, AT, [fact.subject_id], [])

    again = keys.open().destroy(certificate, datetime.now(UTC), [fact.subject_id], [fact.scope_id])

    assert again == first
    assert keys.sql("SELECT epoch FROM key_root") == [(2,)]
    assert vault.open(fact.field) == Erased(fact.scope_id, AT, certificate)


def test_a_certificate_used_for_less_is_refused(keys, vault):
    one, other = seal_people(vault, 2, ("medical",))
    certificate = uuid4()
    vault.destroy(certificate, AT, [one.subject_id], [])

    for subjects, scopes in [([one.subject_id, other.subject_id], []), ([], [other.scope_id])]:
        with pytest.raises(InvalidInput):
            vault.destroy(certificate, AT, subjects, scopes)
    assert vault.open(other.field) == other.value


def test_what_is_gone_already_is_left_to_its_first_certificate(keys, vault):
    subject = uuid4()
    medical, payment = seal_fact(vault, subject, "medical"), seal_fact(vault, subject, "payment")
    first, second, third = uuid4(), uuid4(), uuid4()
    vault.destroy(first, AT, [], [medical.scope_id])

    assert vault.destroy(second, AT, [subject], [medical.scope_id]).scope_ids == [payment.scope_id]
    assert vault.destroy(third, AT, [subject], [medical.scope_id]).scope_ids == []

    assert all_erased(keys.open(), [medical], first)
    assert all_erased(keys.open(), [payment], second)


def test_a_scope_nobody_made_is_refused_before_anything_is_done(keys, vault):
    fact, unknown = seal_fact(vault, uuid4()), uuid4()

    with pytest.raises(KeyNeverExisted) as refused:
        vault.destroy(uuid4(), AT, [fact.subject_id], [unknown])

    assert refused.value.scope_id == unknown
    assert vault.open(fact.field) == fact.value
    assert len(keys.roots()) == 1


def test_a_time_without_a_zone_is_refused(vault):
    with pytest.raises(ValueError, match="time zone"):
        vault.destroy(uuid4(), AT.replace(tzinfo=None), [], [])


def test_one_unreadable_neighbour_stops_a_destruction_before_it_begins(keys, vault):
    mine, neighbour = seal_people(vault, 2, ("medical",))
    keys.sql(
        "UPDATE key_node SET wrapped = set_byte(wrapped, 30, 255 - get_byte(wrapped, 30)) WHERE node_id = %s",
        neighbour.subject_id,
    )

    with pytest.raises(Tampered):
        vault.destroy(uuid4(), AT, [mine.subject_id], [])

    assert keys.open().open(mine.field) == mine.value
    assert keys.sql("SELECT epoch FROM key_root") == [(1,)]


def test_one_unreadable_changed_row_keeps_the_old_root_key(keys, vault):
    """Between the commit and the reading back, one rewrapped row is damaged on disk."""
    mine, neighbour = seal_people(vault, 2, ("medical",))
    [old_root] = keys.roots()
    kept = keys.sql("SELECT wrapped FROM key_node WHERE node_id = %s", neighbour.subject_id)
    certificate = uuid4()

    def damage(step: str) -> None:
        if step == "rewrapped":
            kept[:] = keys.sql("SELECT wrapped FROM key_node WHERE node_id = %s", neighbour.subject_id)
            keys.sql(
                "UPDATE key_node SET wrapped = decode(repeat('00', 60), 'hex') WHERE node_id = %s",
                neighbour.subject_id,
            )

    with pytest.raises(Tampered):
        keys.open(after_step=damage).destroy(certificate, AT, [mine.subject_id], [])
    assert old_root in keys.roots()
    with pytest.raises(Tampered):
        keys.open().destroy(uuid4(), AT, [mine.subject_id], [])
    assert old_root in keys.roots()

    keys.sql("UPDATE key_node SET wrapped = %s WHERE node_id = %s", kept[0][0], neighbour.subject_id)
    destruction = keys.open().destroy(certificate, AT, [mine.subject_id], [])
    assert old_root not in keys.roots()
    assert destruction.scope_ids == [mine.scope_id]
    assert keys.open().open(neighbour.field) == neighbour.value


def test_a_row_wrapping_another_key_than_recorded_stops_before_the_old_root_goes(keys, vault):
    """It opens, but what opens is not the survivor's key: only the fingerprint tells."""
    mine, neighbour = seal_people(vault, 2, ("medical",))
    [old_root] = keys.roots()

    def swap(step: str) -> None:
        if step == "rewrapped":
            nodes = vault._connections.read(lambda cursor: paths(cursor, [neighbour.subject_id]))
            tree = OpenedTree(nodes, {}, vault._keyring.load_root)
            node = tree.nodes[neighbour.subject_id]
            wrapped = tree.key(node.parent_id).wrap(SecretKey.new(), node.associated())
            keys.sql("UPDATE key_node SET wrapped = %s WHERE node_id = %s", wrapped, node.node_id)

    with pytest.raises(Tampered, match="fingerprint"):
        keys.open(after_step=swap).destroy(uuid4(), AT, [mine.subject_id], [])
    assert old_root in keys.roots()


def test_the_steps_are_done_in_the_documented_order(keys, vault):
    mine, other = seal_people(vault, 2, ("medical",))
    seen = []

    def look(step: str) -> None:
        roots = sorted(int(name[5:17]) for name in keys.roots())
        [(epoch,)] = keys.sql("SELECT epoch FROM key_root")
        finished = keys.sql("SELECT finished_at IS NOT NULL FROM destruction")
        seen.append((step, roots, epoch, [row[0] for row in finished]))

    keys.open(after_step=look).destroy(uuid4(), AT, [mine.subject_id], [])

    assert seen == [
        ("root created", [1, 2], 1, []),
        ("rewrapped", [1, 2], 2, [False]),
        ("verified", [1, 2], 2, [False]),
        ("changes logged", [1, 2], 2, [False]),
        ("old root destroyed", [2], 2, [False]),
        ("recorded", [2], 2, [True]),
    ]
    assert tuple(step for step, *_ in seen) == STEPS
    assert keys.open().open(other.field) == other.value


def test_a_destruction_drops_this_process_s_keys(vault):
    fact = seal_fact(vault, uuid4())
    assert vault.open(fact.field) == fact.value

    vault.destroy(uuid4(), AT, [fact.subject_id], [])

    assert isinstance(vault.open(fact.field), Erased)
    assert vault.scopes_of(fact.subject_id)[0].scope == KeyScope(fact.subject_id, "medical", None, 1)
