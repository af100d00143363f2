"""Rotations of a small tree built by hand: what changes, and what opens with which root key."""

from dataclasses import replace
from uuid import uuid4

import pytest

from domain.errors import Tampered
from domain.sealed import KeyScope
from vault.keyring import RootRef
from vault.nodes import DATA, INNER, PERSON, OpenedTree, lineage, new_node, wrapped_node
from vault.primitives import SecretKey
from vault.rotation import rotate

OLD, NEW = RootRef(1, uuid4()), RootRef(2, uuid4())
TOP, LEFT, RIGHT = uuid4(), uuid4(), uuid4()
ANN, BOB, CYD = uuid4(), uuid4(), uuid4()
ANN_MEDICAL, ANN_PAYMENT, BOB_MEDICAL = uuid4(), uuid4(), uuid4()
SCOPES = {
    ANN_MEDICAL: KeyScope(ANN, "medical", uuid4(), 1),
    ANN_PAYMENT: KeyScope(ANN, "payment", None, 1),
    BOB_MEDICAL: KeyScope(BOB, "medical", None, 1),
}


class Example:
    """top → (left → ann (two data keys), bob (one)), (right → cyd)."""

    def __init__(self):
        self.roots = {OLD: SecretKey.new(), NEW: SecretKey.new()}
        self.nodes, self.keys = {}, {}
        self.add(TOP, INNER, OLD, level=2, place=0)
        self.add(LEFT, INNER, TOP, level=1, place=0)
        self.add(RIGHT, INNER, TOP, level=1, place=1)
        self.add(ANN, PERSON, LEFT, level=0, place=0)
        self.add(BOB, PERSON, LEFT, level=0, place=1)
        self.add(CYD, PERSON, RIGHT, level=0, place=2)
        for scope_id, scope in SCOPES.items():
            self.add(scope_id, DATA, scope.subject_id)

    def add(self, node_id, kind, parent, **place):
        self.keys[node_id] = SecretKey.new()
        parent_key = self.roots[parent] if isinstance(parent, RootRef) else self.keys[parent]
        below = parent if isinstance(parent, RootRef) else self.nodes[parent]
        node = new_node(node_id, kind, below, **place)
        self.nodes[node_id] = wrapped_node(node, self.keys[node_id], parent_key, SCOPES.get(node_id))

    def opened(self, *, without=()):
        def root_key(ref):
            if ref in without:
                raise LookupError
            return self.roots[ref]

        return OpenedTree(self.nodes.values(), SCOPES, root_key)

    def rotated(self, removed):
        changed = rotate(self.opened(), removed, NEW, self.roots[NEW])
        for node_id in removed:
            del self.nodes[node_id]
        self.nodes.update({node.node_id: node for node in changed})
        return {node.node_id for node in changed}


def test_forgetting_a_person_renews_the_path_and_rewraps_its_children():
    tree = Example()
    before = {node_id: tree.opened().key(node_id).fingerprint() for node_id in tree.nodes}

    changed = tree.rotated({ANN, ANN_MEDICAL, ANN_PAYMENT})

    after = {node_id: tree.opened(without=[OLD]).key(node_id).fingerprint() for node_id in tree.nodes}
    assert changed == {TOP, LEFT, RIGHT, BOB}
    assert {node_id for node_id in after if after[node_id] != before[node_id]} == {TOP, LEFT}
    assert tree.nodes[TOP].root == NEW
    assert [tree.nodes[i].version for i in (TOP, LEFT, RIGHT, BOB)] == [2, 2, 1, 1]


def test_destroying_one_scope_renews_the_person_too():
    tree = Example()
    before = {node_id: tree.opened().key(node_id).fingerprint() for node_id in tree.nodes}

    changed = tree.rotated({ANN_MEDICAL})

    after = {node_id: tree.opened(without=[OLD]).key(node_id).fingerprint() for node_id in tree.nodes}
    assert changed == {TOP, LEFT, RIGHT, ANN, BOB, ANN_PAYMENT}
    assert {node_id for node_id in after if after[node_id] != before[node_id]} == {TOP, LEFT, ANN}


def test_with_nothing_to_remove_only_the_top_moves_to_the_new_root():
    tree = Example()

    assert tree.rotated(set()) == {TOP}
    assert tree.opened(without=[OLD]).key(BOB_MEDICAL).fingerprint() == tree.keys[BOB_MEDICAL].fingerprint()


def test_an_unreadable_survivor_stops_a_rotation():
    tree = Example()
    bob = tree.nodes[BOB]
    tree.nodes[BOB] = replace(bob, wrapped=bob.wrapped[:-1] + bytes([bob.wrapped[-1] ^ 1]))

    with pytest.raises(Tampered):
        rotate(tree.opened(), {ANN, ANN_MEDICAL, ANN_PAYMENT}, NEW, tree.roots[NEW])


@pytest.mark.parametrize(
    ("node_id", "change"),
    [
        (BOB, {"parent_id": RIGHT}),
        (BOB, {"parent_version": 2}),
        (BOB, {"version": 2}),
        (BOB, {"kind": INNER}),
        (LEFT, {"place": 1}),
        (LEFT, {"level": 2}),
        (TOP, {"parent_id": uuid4()}),
        (BOB_MEDICAL, {"parent_id": ANN}),
        (BOB_MEDICAL, {"kind": PERSON}),
        (BOB, {"fingerprint": bytes(32)}),
        (BOB, {"parent_id": BOB_MEDICAL}),
        (BOB, {"parent_id": uuid4()}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_row_changed_in_any_way_does_not_open(node_id, change):
    tree = Example()
    tree.nodes[node_id] = replace(tree.nodes[node_id], **change)
    tree.roots[tree.nodes[TOP].root] = tree.roots[OLD]

    with pytest.raises(Tampered):
        tree.opened().key(BOB_MEDICAL)


@pytest.mark.parametrize(
    "other",
    [
        KeyScope(BOB, "payment", None, 1),
        KeyScope(BOB, "medical", uuid4(), 1),
        KeyScope(BOB, "medical", None, 2),
        KeyScope(ANN, "medical", None, 1),
    ],
)
def test_a_data_key_opens_only_for_the_scope_it_was_made_for(other):
    tree = Example()

    with pytest.raises(Tampered):
        OpenedTree(tree.nodes.values(), {**SCOPES, BOB_MEDICAL: other}, tree.roots.get).key(BOB_MEDICAL)


def test_two_rows_exchanged_do_not_open():
    tree = Example()
    ann, bob = tree.nodes[ANN], tree.nodes[BOB]
    tree.nodes[ANN] = replace(ann, wrapped=bob.wrapped, fingerprint=bob.fingerprint)
    tree.nodes[BOB] = replace(bob, wrapped=ann.wrapped, fingerprint=ann.fingerprint)

    for person in (ANN, BOB):
        with pytest.raises(Tampered):
            tree.opened().key(person)


def test_a_place_s_ancestors():
    assert lineage(0, 64, 1) == [(1, 0)]
    assert lineage(27, 3, 4) == [(4, 0), (3, 1), (2, 3), (1, 9)]
