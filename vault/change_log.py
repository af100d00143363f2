"""The keys' backup: every change of the keys cluster, in a file elsewhere before anything relies on it.

A new data key is in the log before something is sealed under it; a rotation's rows are before its old root key is
destroyed. Triggers note each change in ``key_change`` in the transaction that makes it, so that nothing gets past; this
takes the notes from there, appends them to the file, syncs it, and says in ``key_log`` how long the file is now.

That last commit need not be durable. After a crash of the cluster the notes are there again: what the file has beyond
the length known to the cluster must be among the notes that wait. If it is not, the cluster is older than its log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from psycopg2.extensions import connection as Connection

from domain.errors import KeyringMismatch, KeysUnavailable
from vault import change_rows, tree_rows
from vault.change_file import FORMAT, ChangeFolder, Frame, Mark
from vault.connections import Connections, transaction

MARK_TAKEN = "mark taken"
APPENDED = "appended"
MARKED = "marked"
DUMP_WRITTEN = "dump written"
DUMP_MARKED = "dump marked"
DUMP_NAMED = "dump named"
STEPS = (MARK_TAKEN, APPENDED, MARKED)
DUMP_STEPS = (DUMP_WRITTEN, DUMP_MARKED, DUMP_NAMED)
"""The names of the steps of an append and of a dump, in order."""


class ChangeLog:
    """Thread-safe. ``after_step`` is called with the name of each step that was done."""

    def __init__(self, dsn: str, folder: Path, after_step: Callable[[str], None] = lambda step: None) -> None:
        # A connection of its own: whoever waits here may hold all of the pool's.
        self._connections = Connections(dsn, 1)
        self.files = ChangeFolder(folder)
        self._after_step = after_step
        self._one = threading.Lock()

    def open(self) -> None:
        """Check that log and cluster belong together and bring the log up to the cluster; the first start begins it.

        Raises ``KeyringMismatch`` when the cluster is older than the log, the log has lost its end, or is of other
        keys; ``KeysUnavailable``.
        """
        with self._one, self.files.alone(), self._connections.session() as session:
            with transaction(session) as cursor:
                mark = change_rows.read_mark(cursor)
                # A start with nothing to write works while the cluster is read-only.
                if mark is not None and not change_rows.waiting(cursor) and self.files.ends_at(mark):
                    return
            if mark is None and self.files.last_generation():
                raise KeyringMismatch("the key change log's folder holds the log of other keys, or of newer ones")
            if mark is None:
                self._dump(session, 1)
            self._drain(session)

    def catch_up(self) -> None:
        """Return when every change that is committed is in the log, durably. Raises like :meth:`open`."""
        with self._one, self.files.alone(), self._connections.session() as session:
            self._drain(session)

    def dump(self, *, lost: bool = False) -> Mark:
        """Begin a new generation with a dump of the cluster and return its end; the one before is kept beside it.

        ``lost``: the log was lost, or its end was, and the cluster is whole. Raises like :meth:`open`.
        """
        with self._one, self.files.alone(), self._connections.session() as session:
            if not lost:
                self._drain(session)
            with transaction(session) as cursor:
                mark = change_rows.read_mark(cursor)
            generation = max(mark.generation if mark else 0, self.files.last_generation()) + 1
            end = self._dump(session, generation)
            self._drain(session)
            self.files.forget_before(generation - 1)
            return end

    def close(self) -> None:
        """Close the connection."""
        self._connections.close()

    def _drain(self, session: Connection) -> None:
        with transaction(session) as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
            mark = change_rows.take_mark(cursor)
            if mark is None:
                raise KeysUnavailable("the key change log was never begun")
            changes = change_rows.take_changes(cursor)
            self.files.settle(mark)
            self._after_step(MARK_TAKEN)
            if self.files.last_generation() > mark.generation:
                raise _older()
            tail = list(self.files.frames(mark.generation, mark))
            known = _seqs(tail)
            if not known <= {change.seq for change in changes}:
                raise _older()
            end = tail[-1].end if tail else mark
            fresh = [change.to_json() for change in changes if change.seq not in known]
            if fresh:
                end = self.files.append(end, {"changes": fresh})
            self._after_step(APPENDED)
            if end != mark:
                change_rows.set_mark(cursor, end)
        self._after_step(MARKED)

    def _dump(self, session: Connection, generation: int) -> Mark:
        """Write a dump, make it count, give it its name.

        Changes that wait stay where they are: the dump has them too, and to have one twice does no harm.
        """
        coming = self.files.begin(generation)
        try:
            with transaction(session) as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0")
                installation = tree_rows.read_installation(cursor)
                if installation is None:
                    raise KeysUnavailable("the keys cluster has no keys")
                header = {"format": FORMAT, "installation": str(installation.installation_id)}
                coming.add({**header, "generation": generation, "next_place": change_rows.next_place(cursor)})
                for relation in change_rows.RELATIONS:
                    for rows in change_rows.all_rows(cursor, relation):
                        coming.add({"relation": relation, "rows": rows})
                coming.add({"dumped": True})
                end = coming.finish()
                self._after_step(DUMP_WRITTEN)
                change_rows.set_mark(cursor, end)
        finally:
            coming.close()
        self._after_step(DUMP_MARKED)
        self.files.settle(end)
        self._after_step(DUMP_NAMED)
        return end


def _seqs(frames: list[Frame]) -> set[int]:
    return {change[0] for frame in frames for change in frame.content.get("changes", [])}


def _older() -> KeyringMismatch:
    return KeyringMismatch("the keys cluster is older than its key change log: restore it from the log")
