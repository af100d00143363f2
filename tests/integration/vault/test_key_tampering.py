"""Rows changed by somebody who may switch triggers off: nothing opens that should not, nothing looks erased."""

from datetime import UTC, datetime
from uuid import uuid4

import psycopg2
import pytest
from vault_people import all_open, seal_people

from domain.errors import KeyNeverExisted, Tampered

AT = datetime(2026, 3, 4, tzinfo=UTC)
FLIP = "UPDATE key_node SET wrapped = set_byte(wrapped, {at}, get_byte(wrapped, {at}) # 1) WHERE node_id = %s"


@pytest.fixture
def people(shared_vault):
    """Give three people with one sealed value each, in an installation that holds others, damaged ones too."""
    return seal_people(shared_vault, 3, ("medical",))


@pytest.mark.parametrize("at", [0, 11, 12, 43, 44, 59])
@pytest.mark.parametrize("which", ["scope_id", "subject_id"])
def test_a_flipped_bit_in_a_wrapped_key(shared_keys, people, which, at):
    shared_keys.sql(FLIP.format(at=at), getattr(people[0], which), by_hand=True)

    reader = shared_keys.open()
    with pytest.raises(Tampered):
        reader.open(people[0].field)
    with pytest.raises(Tampered):
        reader.open_many([fact.field for fact in people])
    assert all_open(reader, people[1:])


@pytest.mark.parametrize(
    "change",
    [
        "version = version + 1",
        "parent_version = parent_version + 1",
        "parent_id = (SELECT subject_id FROM key_scope WHERE scope_id <> key_node.node_id LIMIT 1)",
        "parent_id = gen_random_uuid()",
        "parent_id = node_id",
        "fingerprint = decode(repeat('00', 32), 'hex')",
        "kind = 'inner', level = 1, place = (random() * 1e15)::bigint",
    ],
)
@pytest.mark.parametrize("which", ["scope_id", "subject_id"])
def test_a_row_that_says_something_else(shared_keys, people, which, change):
    shared_keys.sql(f"UPDATE key_node SET {change} WHERE node_id = %s", getattr(people[0], which), by_hand=True)

    with pytest.raises(Tampered):
        shared_keys.open().open(people[0].field)


@pytest.mark.parametrize(
    "change",
    ["category = 'identity'", "case_id = gen_random_uuid()", "engagement = 7", "subject_id = gen_random_uuid()"],
)
def test_a_scope_that_says_something_else(shared_keys, people, change):
    shared_keys.sql(f"UPDATE key_scope SET {change} WHERE scope_id = %s", people[0].scope_id, by_hand=True)

    with pytest.raises(Tampered):
        shared_keys.open().open(people[0].field)


def test_a_key_moved_to_another_person_s_scope(shared_keys, people):
    mine, other = people[0], people[1]
    shared_keys.sql("DELETE FROM key_node WHERE node_id = %s", other.scope_id, by_hand=True)
    shared_keys.sql(
        "UPDATE key_node SET node_id = %s, parent_id = %s WHERE node_id = %s",
        other.scope_id,
        other.subject_id,
        mine.scope_id,
        by_hand=True,
    )

    for fact in (mine, other):
        with pytest.raises(Tampered):
            shared_keys.open().open(fact.field)


def test_a_deleted_key_is_not_an_erasure(shared_keys, people):
    shared_keys.sql("DELETE FROM key_node WHERE node_id = %s", people[0].scope_id, by_hand=True)

    with pytest.raises(Tampered):
        shared_keys.open().open(people[0].field)


def test_a_deleted_scope_never_existed(shared_keys, people):
    shared_keys.sql("DELETE FROM key_scope WHERE scope_id = %s", people[0].scope_id, by_hand=True)

    with pytest.raises(KeyNeverExisted):
        shared_keys.open().open(people[0].field)


def test_a_top_hung_from_a_root_key_that_is_not_in_force(keys, vault):
    [fact] = seal_people(vault, 1, ("medical",))
    keys.sql("UPDATE key_node SET parent_id = gen_random_uuid() WHERE kind = 'inner'", by_hand=True)

    with pytest.raises(Tampered):
        keys.open().open(fact.field)


@pytest.mark.parametrize("whole", [True, False], ids=["person", "scope"])
def test_a_destroyed_row_put_back_is_refused_by_the_database(keys, vault, whole):
    """Even one that says it is wrapped under its parent's current key."""
    doomed, _ = seal_people(vault, 2, ("medical",))
    node_id = doomed.subject_id if whole else doomed.scope_id
    keys.sql("CREATE TABLE kept AS SELECT * FROM key_node WHERE node_id = %s", node_id)
    vault.destroy(uuid4(), AT, *([node_id], []) if whole else ([], [node_id]))
    keys.sql("UPDATE kept SET parent_version = p.version FROM key_node p WHERE p.node_id = kept.parent_id")

    with pytest.raises(psycopg2.Error) as refused:
        keys.sql("INSERT INTO key_node SELECT * FROM kept")

    assert refused.value.pgcode == "CKV02"
