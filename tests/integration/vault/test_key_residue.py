"""What an attacker with every byte of the past and every key of the present can open: nothing that was destroyed."""

import shutil
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from key_rows import Scopes, all_rows, keys_of_today, opens
from vault_people import all_open, seal_fact, seal_people

from domain.errors import Tampered
from domain.sealed import KeyScope
from vault import tree_rows
from vault.nodes import OpenedTree
from vault.sealing import SealedValue, event_key, unseal

AT = datetime(2026, 3, 4, tzinfo=UTC)


def old_rows_and_root(keys, vault, tmp_path):
    """Return all rows as they are now, and a copy of the keyring as it is now."""
    nodes, scopes = all_rows(keys, vault)
    kept = tmp_path / "kept aside"
    shutil.copytree(keys.folder, kept)
    return nodes, scopes, kept


def opened_by(candidates, node, scopes: Scopes):
    """Return how many of the keys open an old row, in the place it had."""
    return sum(opens(key, node, scopes) for key in candidates)


def test_no_surviving_key_opens_an_old_row_of_a_destroyed_person_and_the_old_root_would_have(keys, vault, tmp_path):
    facts = seal_people(vault, 40)
    vault.secret("relay-mac")
    doomed = [fact for fact in facts if fact.subject_id == facts[26].subject_id]
    nodes, scopes, kept = old_rows_and_root(keys, vault, tmp_path)
    old = {node.node_id: node for node in nodes}

    vault.destroy(uuid4(), AT, [doomed[0].subject_id], [])

    today = keys_of_today(keys, vault)
    path, node = [], old[doomed[0].subject_id]
    while node is not None:
        path.append(node)
        node = old.get(node.parent_id)
    lost = [*path, *(old[fact.scope_id] for fact in doomed)]
    assert len(path) == 4, "three inner levels and the person"
    assert len(today) > 100
    assert [opened_by(today, node, scopes) for node in lost] == [0] * 6

    with keys.restored(kept):
        then = OpenedTree(nodes, scopes, keys.keyring().load_root)
        for fact in doomed:
            key = event_key(then.key(fact.scope_id), fact.field.binding)
            assert unseal(key, SealedValue.parse(fact.field.part.value), fact.field.binding) == fact.value
    assert all_open(keys.open(), [fact for fact in facts if fact not in doomed])


def test_rows_written_by_an_abandoned_rotation_open_nothing_later(keys, vault, monkeypatch):
    """What a rolled-back rotation wrote hangs from a root key that must never come back."""
    facts = seal_people(vault, 6, ("medical",))
    first, second = facts[0], facts[1]
    _, scopes = all_rows(keys, vault)
    genuine, written = tree_rows.update_nodes, []

    class StopError(Exception):
        pass

    def write_and_stop(cursor, nodes):
        genuine(cursor, nodes)
        written.extend(nodes)
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(tree_rows, "update_nodes", write_and_stop)
        with pytest.raises(StopError):
            keys.open().destroy(uuid4(), AT, [first.subject_id], [])
    abandoned = set(keys.roots())
    assert sum(opened_by(keys_of_today(keys, vault), node, scopes) for node in written) == 1, "the top, by its root"
    destruction = keys.open().destroy(uuid4(), AT, [second.subject_id], [])

    [root] = keys.roots()
    assert len(abandoned) == 2
    assert root not in abandoned
    assert destruction.scope_ids == [second.scope_id]
    today = keys_of_today(keys, vault)
    assert [opened_by(today, node, scopes) for node in written] == [0] * len(written)
    assert all_open(keys.open(), [fact for fact in facts if fact is not second])


def test_old_rows_put_back_by_hand_do_not_bring_a_person_back(keys, vault):
    facts = seal_people(vault, 6, ("medical",))
    doomed = facts[2]
    keys.sql("CREATE TABLE kept AS SELECT * FROM key_node WHERE %s IN (node_id, parent_id)", doomed.subject_id)
    certificate = uuid4()
    vault.destroy(certificate, AT, [doomed.subject_id], [])

    keys.sql("INSERT INTO key_node SELECT * FROM kept", by_hand=True)

    assert keys.open().open(doomed.field).certificate_id == certificate
    assert all_open(keys.open(), [fact for fact in facts if fact is not doomed])


def test_a_destroyed_key_under_a_new_name_is_refused(keys, vault):
    """Somebody kept the plain key of a destroyed scope and brings it back as a new scope of another person."""
    doomed, other = seal_people(vault, 2, ("medical",))
    stolen = vault._tree.load([doomed.scope_id])[doomed.scope_id].key
    vault.destroy(uuid4(), AT, [doomed.subject_id], [])
    nodes, _ = all_rows(keys, vault)
    tree = OpenedTree(nodes, {}, vault._keyring.load_root)
    row = tree.nodes[other.scope_id]
    scope = KeyScope(other.subject_id, "medical", None, 1)
    wrapped = tree.key(other.subject_id).wrap(stolen, row.associated(scope))

    keys.sql(
        "UPDATE key_node SET wrapped = %s, fingerprint = %s WHERE node_id = %s",
        wrapped,
        stolen.fingerprint(),
        other.scope_id,
        by_hand=True,
    )

    reader = keys.open()
    with pytest.raises(Tampered, match="no row"):
        reader.open(other.field)
    healthy = seal_fact(reader, other.subject_id, "identity")
    assert reader.open(healthy.field) == healthy.value
