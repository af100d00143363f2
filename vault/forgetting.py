"""Destroys keys so that no copy of what they sealed opens again, wherever its bytes remain.

Order, and what a kill after each step leaves:

1. a new root key in the keyring: an orphan, removed by the next call;
2. one transaction with every key on the path renewed, every survivor wrapped again, the records of what was
   destroyed, and the new root epoch: from here on the next call only finishes;
3. every changed row read back on a fresh connection and opened through the new root key;
4. the old root key destroyed: now it is true;
5. the end recorded.

A copy of the changed rows that is kept elsewhere belongs between 3 and 4. One session at a time does all this, behind
an advisory lock of the same connection that commits, so nobody else can be at it while the fate of a COMMIT is open.
If one row does not open, nothing is destroyed and ``Tampered`` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import FieldProblem, InvalidInput, KeyNeverExisted, KeysUnavailable, Tampered
from vault import destruction_rows, tree_rows
from vault.connections import Connections, transaction, unavailable
from vault.destruction_rows import DestructionRecord
from vault.keyring import KeyMissing, Keyring, RootRef, lacks
from vault.nodes import OpenedTree
from vault.rotation import rotate

ROOT_CREATED = "root created"
REWRAPPED = "rewrapped"
VERIFIED = "verified"
OLD_ROOT_DESTROYED = "old root destroyed"
RECORDED = "recorded"
STEPS = (ROOT_CREATED, REWRAPPED, VERIFIED, OLD_ROOT_DESTROYED, RECORDED)
"""The names of all steps, in order."""


@dataclass(frozen=True)
class Request:
    """What to destroy under one certificate: whole people, single scopes, or both."""

    certificate_id: UUID
    at: datetime
    subject_ids: frozenset[UUID]
    scope_ids: frozenset[UUID]


@dataclass(frozen=True)
class Destruction:
    """What was destroyed under a certificate.

    ``destroyed_at`` is when the old root key was gone, by the keys cluster's clock. ``fingerprints`` (hex) name the
    destroyed data keys, in the order of ``scope_ids``.
    """

    root_epoch_before: int
    root_epoch_after: int
    destroyed_at: datetime
    fingerprints: list[str]
    scope_ids: list[UUID]


class _BusyError(Exception):
    """Another session destroys keys just now."""


class Forgetting:
    """Destroys keys, one session at a time. ``after_step`` is called with the name of each step that was done."""

    def __init__(self, connections: Connections, keyring: Keyring, after_step: Callable[[str], None]) -> None:
        self._connections = connections
        self._keyring = keyring
        self._after_step = after_step

    def destroy(self, request: Request) -> Destruction:
        """Destroy what is asked for, finishing first what an earlier call left.

        Repeated under the same certificate it returns the first outcome; ``InvalidInput`` if that left out something
        now asked for. Raises ``KeyNeverExisted``, ``KeysUnavailable``, ``KeyringMismatch``, ``Tampered``.
        """
        with self._alone(destruction_rows.lock_destructions) as session:
            self._finish(session)
            if not self._done(session, request):
                with session.cursor() as cursor:
                    epoch = tree_rows.read_root(cursor).ref.epoch + 1
                ref = self._keyring.create_root(epoch)
                self._after_step(ROOT_CREATED)
                with transaction(session) as cursor:
                    self._rewrap(cursor, request, ref)
                self._after_step(REWRAPPED)
                self._finish(session)
            return _outcome(session, request.certificate_id)

    def resume(self) -> None:
        """Finish what an earlier process left, unless another is at it. Raises like :meth:`destroy`."""
        with suppress(_BusyError), self._alone(destruction_rows.try_lock_destructions) as session:
            self._finish(session)

    @contextmanager
    def _alone(self, lock: Callable[[Cursor], bool]) -> Iterator[Connection]:
        """Give a session in which nobody else destroys keys. Raises ``_BusyError`` if the lock is not to be had."""
        try:
            with self._connections.session() as session:
                with session.cursor() as cursor:
                    if not lock(cursor):
                        raise _BusyError
                yield session
        except psycopg2.Error as error:
            raise unavailable(error) from None
        except KeyMissing:
            raise lacks(self._keyring, self._connections.read(tree_rows.read_root).ref) from None

    def _done(self, session: Connection, request: Request) -> bool:
        with session.cursor() as cursor:
            found = destruction_rows.find_destruction(cursor, request.certificate_id)
            known = tree_rows.scopes_by_id(cursor, request.scope_ids)
            gone = tree_rows.destroyed_people(cursor, request.subject_ids)
        if unknown := request.scope_ids - known.keys():
            raise KeyNeverExisted(min(unknown))
        if found and (gone != request.subject_ids or not all(record.erased for record in known.values())):
            raise InvalidInput([FieldProblem("certificate_id", "was used for another destruction")])
        return found is not None

    def _rewrap(self, cursor: Cursor, request: Request, ref: RootRef) -> None:
        root = tree_rows.take_root(cursor)
        people = request.subject_ids - tree_rows.destroyed_people(cursor, request.subject_ids)
        asked = tree_rows.scopes_by_id(cursor, request.scope_ids).values()
        concerned = people | {record.scope.subject_id for record in asked}
        nodes = destruction_rows.lock_nodes(cursor, root, concerned)
        records = [record for record in tree_rows.scopes_of(cursor, concerned) if not record.erased]
        tree = OpenedTree(nodes, {record.scope_id: record.scope for record in records}, self._keyring.load_root)
        fingerprints = {
            record.scope_id: tree.key(record.scope_id).fingerprint()
            for record in records
            if record.scope.subject_id in people or record.scope_id in request.scope_ids
        }
        removed = fingerprints.keys() | (people & tree.nodes.keys())
        changed = rotate(tree, removed, ref, self._keyring.load_root(ref))
        certificate = request.certificate_id
        destruction_rows.insert_destruction(cursor, certificate, request.at, (root.ref.epoch, ref.epoch), changed)
        destruction_rows.insert_destroyed(cursor, certificate, request.at, people, fingerprints)
        tree_rows.set_root(cursor, ref)
        destruction_rows.delete_nodes(cursor, removed)
        if tree_rows.update_nodes(cursor, changed) != len(changed):
            raise Tampered("a key went missing while it was wrapped again")

    def _finish(self, session: Connection) -> None:
        """Do steps 3 to 5 for a rotation that is committed, if there is one; remove root keys that are not in force."""
        ending = (
            (VERIFIED, self._verify),
            (OLD_ROOT_DESTROYED, self._destroy_other_roots),
            (RECORDED, self._record),
        )
        with session.cursor() as cursor:
            unfinished = destruction_rows.unfinished(cursor)
            for name, step in ending:
                step(cursor, unfinished)
                if unfinished:
                    self._after_step(name)

    def _verify(self, _: Cursor, unfinished: list[DestructionRecord]) -> None:
        if not unfinished:
            return
        fresh = self._connections.fresh()
        try:
            with fresh.cursor() as cursor:
                root = tree_rows.read_root(cursor)
                for record in unfinished:
                    nodes = tree_rows.paths(cursor, record.changed)
                    scopes = tree_rows.scopes_by_id(cursor, record.changed)
                    tree = OpenedTree(nodes, {i: s.scope for i, s in scopes.items()}, self._keyring.load_root)
                    for node_id in record.changed:
                        tree.key(node_id)
                    left = destruction_rows.left_over(cursor, record.certificate_id)
                    if left or record.epoch_after != root.ref.epoch:
                        raise Tampered("the keys are not as the rotation left them")
        finally:
            fresh.close()

    def _destroy_other_roots(self, cursor: Cursor, _: list[DestructionRecord]) -> None:
        """Destroy every root key that was there before the one in force was read.

        In that order: should this process have been stopped and its session ended, the read fails; what was listed
        before a read that succeeds, under the lock, and is not in force, never will be.
        """
        there = self._keyring.roots()
        in_force = tree_rows.read_root(cursor).ref
        self._keyring.load_root(in_force)
        for ref in there:
            if ref != in_force:
                self._keyring.destroy_root(ref)

    def _record(self, cursor: Cursor, unfinished: list[DestructionRecord]) -> None:
        for record in unfinished:
            destruction_rows.finish(cursor, record.certificate_id)


def _outcome(session: Connection, certificate_id: UUID) -> Destruction:
    with session.cursor() as cursor:
        record = destruction_rows.find_destruction(cursor, certificate_id)
        scopes = destruction_rows.destroyed_scopes(cursor, certificate_id)
    if record is None or record.finished_at is None:
        raise KeysUnavailable("a destruction is not on record")
    return Destruction(
        root_epoch_before=record.epoch_before,
        root_epoch_after=record.epoch_after,
        destroyed_at=record.finished_at,
        fingerprints=[fingerprint.hex() for _, fingerprint in scopes],
        scope_ids=[scope_id for scope_id, _ in scopes],
    )
