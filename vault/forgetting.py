"""Destroys keys so that no copy of what they sealed opens again, wherever its bytes remain.

Order, and what a kill after each step leaves:

1. a new root key in the keyring: an orphan, removed by the next call;
2. one transaction with every key on the path renewed, every survivor wrapped again, the records of what was
   destroyed, and the new root epoch: from here on the next call only finishes;
3. every changed row read back on a fresh connection and opened through the new root key;
4. the changed rows in the key change log, the keys' backup, where one is kept;
5. the old root key destroyed: now it is true;
6. the end recorded.

Certificates that are due together share one rotation: their people share the upper path, and the root changes once.
One session at a time does all this, behind an advisory lock of the same connection that commits, so nobody else can be
at it while the fate of a COMMIT is open. If one row does not open, nothing is destroyed and ``Tampered`` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import FieldProblem, InvalidInput, KeyNeverExisted, KeysUnavailable, Tampered
from vault import destruction_rows, tree_rows
from vault.connections import Connections, transaction
from vault.destruction_request import DestructionRequest
from vault.destruction_rows import DestructionRecord
from vault.keyring import KeyMissing, Keyring, RootRef, lacks
from vault.nodes import OpenedTree
from vault.rotation import rotate

ROOT_CREATED = "root created"
REWRAPPED = "rewrapped"
VERIFIED = "verified"
CHANGES_LOGGED = "changes logged"
OLD_ROOT_DESTROYED = "old root destroyed"
RECORDED = "recorded"
STEPS = (ROOT_CREATED, REWRAPPED, VERIFIED, CHANGES_LOGGED, OLD_ROOT_DESTROYED, RECORDED)
"""The names of all steps, in order."""


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


Outcome = Destruction | KeyNeverExisted | InvalidInput
"""What became of one request: what was destroyed, or why nothing was."""


class _BusyError(Exception):
    """Another session destroys keys just now."""


class Forgetting:
    """Destroys keys, one session at a time. ``after_step`` is called with the name of each step that was done.

    ``log_changes`` returns when every change that is committed is in the key change log.
    """

    def __init__(
        self,
        connections: Connections,
        keyring: Keyring,
        after_step: Callable[[str], None],
        log_changes: Callable[[], None] = lambda: None,
    ) -> None:
        self._connections = connections
        self._keyring = keyring
        self._after_step = after_step
        self._log_changes = log_changes

    def destroy(self, requests: Sequence[DestructionRequest]) -> dict[UUID, Outcome]:
        """Destroy what is asked for in one rotation, finishing first what an earlier call left.

        Returns an outcome for each certificate. One repeated under the same certificate is the first one again;
        ``InvalidInput`` if that left out something now asked for; ``KeyNeverExisted`` for a scope nobody made. What two
        requests ask for goes under the certificate of the first. Raises ``KeysUnavailable``, ``KeyringMismatch``,
        ``Tampered``.
        """
        with self._alone(destruction_rows.lock_destructions) as session:
            self._finish(session)
            refused: dict[UUID, Outcome] = {}
            due = self._due(session, requests, refused)
            if due:
                with session.cursor() as cursor:
                    in_force = tree_rows.read_root(cursor).ref
                ref = self._keyring.create_root(in_force.epoch + 1, in_force)
                self._after_step(ROOT_CREATED)
                with transaction(session) as cursor:
                    self._rewrap(cursor, due, ref)
                self._after_step(REWRAPPED)
                self._finish(session)
            certificates = [request.certificate_id for request in requests]
            return {id_: refused.get(id_) or _outcome(session, id_) for id_ in certificates}

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
        except KeyMissing:
            raise lacks(self._keyring, self._connections.read(tree_rows.read_root).ref) from None

    def _due(
        self, session: Connection, requests: Sequence[DestructionRequest], refused: dict[UUID, Outcome]
    ) -> list[DestructionRequest]:
        """Return the requests that are not done yet; put those that cannot be done into ``refused``."""
        scope_ids = {scope_id for request in requests for scope_id in request.scope_ids}
        subject_ids = {subject_id for request in requests for subject_id in request.subject_ids}
        with session.cursor() as cursor:
            done = destruction_rows.certificates_used(cursor, [request.certificate_id for request in requests])
            known = tree_rows.scopes_by_id(cursor, scope_ids)
            gone = tree_rows.destroyed_people(cursor, subject_ids)
        due = []
        for request in requests:
            if unknown := request.scope_ids - known.keys():
                refused[request.certificate_id] = KeyNeverExisted(min(unknown))
            elif request.certificate_id not in done:
                due.append(request)
            elif not (request.subject_ids <= gone and all(known[scope_id].erased for scope_id in request.scope_ids)):
                problem = FieldProblem("certificate_id", "was used for another destruction")
                refused[request.certificate_id] = InvalidInput([problem])
        return due

    def _rewrap(self, cursor: Cursor, due: Sequence[DestructionRequest], ref: RootRef) -> None:
        root = tree_rows.take_root(cursor)
        asked_people = {subject_id for request in due for subject_id in request.subject_ids}
        asked_scopes = {scope_id for request in due for scope_id in request.scope_ids}
        people = asked_people - tree_rows.destroyed_people(cursor, asked_people)
        asked = tree_rows.scopes_by_id(cursor, asked_scopes).values()
        concerned = people | {record.scope.subject_id for record in asked}
        nodes = destruction_rows.lock_nodes(cursor, root, concerned)
        records = [record for record in tree_rows.scopes_of(cursor, concerned) if not record.erased]
        tree = OpenedTree(nodes, {record.scope_id: record.scope for record in records}, self._keyring.load_root)
        fingerprints = {
            record.scope_id: tree.key(record.scope_id).fingerprint()
            for record in records
            if record.scope.subject_id in people or record.scope_id in asked_scopes
        }
        removed = fingerprints.keys() | (people & tree.nodes.keys())
        changed = rotate(tree, removed, ref, self._keyring.load_root(ref))
        destruction_rows.insert_destructions(cursor, due, (root.ref.epoch, ref.epoch), changed)
        of_person = {record.scope_id: record.scope.subject_id for record in records}
        for request in due:
            mine = people & request.subject_ids
            gone = {s for s in fingerprints if s in request.scope_ids or of_person[s] in mine}
            destruction_rows.insert_destroyed(cursor, request, mine, {s: fingerprints.pop(s) for s in gone})
            people -= mine
        tree_rows.set_root(cursor, ref)
        destruction_rows.delete_nodes(cursor, removed)
        if tree_rows.update_nodes(cursor, changed) != len(changed):
            raise Tampered("a key went missing while it was wrapped again")

    def _finish(self, session: Connection) -> None:
        """Do steps 3 to 6 for a rotation that is committed, if there is one; remove root keys that are not in force."""
        ending = (
            (VERIFIED, self._verify),
            (CHANGES_LOGGED, lambda *_: self._log_changes()),
            (OLD_ROOT_DESTROYED, self._destroy_other_roots),
            (RECORDED, self._record),
        )
        with session.cursor() as cursor:
            self._keyring.settle(tree_rows.read_root(cursor).ref, lambda: tree_rows.read_root(cursor).ref)
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
                changed = [node_id for record in unfinished for node_id in record.changed]
                nodes = tree_rows.paths(cursor, changed)
                scopes = tree_rows.scopes_by_id(cursor, changed)
                tree = OpenedTree(nodes, {i: s.scope for i, s in scopes.items()}, self._keyring.load_root)
                for node_id in changed:
                    tree.key(node_id)
                left = destruction_rows.left_over(cursor, [record.certificate_id for record in unfinished])
                if left or any(record.epoch_after != root.ref.epoch for record in unfinished):
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
        destruction_rows.finish(cursor, [record.certificate_id for record in unfinished])


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
