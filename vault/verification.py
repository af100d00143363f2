"""Looks at all keys of an installation: that each live one opens, that none is left of what was destroyed, and that
the change log has them all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg2
from psycopg2.extensions import cursor as Cursor

from domain.errors import CasekeeperError, KeysUnavailable, Tampered
from vault import change_rows, destruction_rows, tree_rows
from vault.change_log import ChangeLog
from vault.change_replay import ReplayedKeys, replay, spelled
from vault.connections import Connections, transaction, unavailable
from vault.keyring import KeyMissing, Keyring
from vault.nodes import OpenedTree

PAGE = 500
_ATTEMPTS = 10


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its name, whether it is as it should be, and what was found. Ids of keys at most."""

    name: str
    ok: bool
    found: str


class Verification:
    """Looks at the keys while everything goes on. Every method may raise ``KeysUnavailable``."""

    def __init__(self, connections: Connections, keyring: Keyring) -> None:
        self._connections = connections
        self._keyring = keyring

    def keys_open(self, moved: Callable[[int, int], None] = lambda done, all_: None) -> Finding:
        """Open every key there is, page by page; ``moved`` is told how many of about how many were opened."""
        all_ = self._connections.read(tree_rows.count_nodes)
        done, last, bad = 0, UUID(int=0), list[UUID]()
        while page := self._connections.read(partial(tree_rows.node_ids_after, after=last, limit=PAGE)):
            opened, failed = self._open(page)
            done, last = done + opened, page[-1]
            bad += failed
            moved(done, max(all_, done))
        lost = self._connections.read(tree_rows.scopes_without_key)
        if bad or lost:
            return Finding("keys open", False, f"{len(bad)} of {done} do not open, {len(lost)} scopes have lost theirs")
        return Finding("keys open", True, f"{done} keys")

    def destroyed_gone(self) -> Finding:
        """Look for rows of keys whose destruction is on record."""
        there = self._connections.read(destruction_rows.destroyed_and_there)
        destroyed = self._connections.read(tree_rows.count_destroyed)
        found = f"{destroyed} destroyed, none is there" if not there else f"{there} of {destroyed} have a row"
        return Finding("destroyed keys", not there, found)

    def keyring_holds(self) -> Finding:
        """Look whether the keyring holds the root key in force and no other, and no copy that a kill has left.

        A destruction under way has two.
        """
        found: set[object] = set()
        for _ in range(_ATTEMPTS):
            before = self._connections.read(tree_rows.read_root).ref
            found = set(self._keyring.roots())
            if found == {before}:
                if left := self._keyring.leftovers():
                    return Finding(
                        "keyring", False, f"{left} copies of keys were left by a kill: the next start clears"
                    )
                return Finding("keyring", True, f"the root key in force, epoch {before.epoch}, and no other")
        return Finding("keyring", False, f"{len(found)} root keys, or not the one in force")

    def log_complete(self, log: ChangeLog) -> Finding:
        """Replay the key change log and compare it with the rows of the cluster, one by one, at one moment."""
        try:
            log.open()
            with log.files.alone():
                keys = replay(log.files)
                different = self._compare(keys)
        except KeysUnavailable:
            raise
        except CasekeeperError as problem:
            return Finding("change log", False, str(problem))
        found = f"generation {keys.end.generation}, {keys.end.length} bytes, "
        return Finding("change log", not different, found + (f"{different} rows differ" if different else "complete"))

    def _open(self, page: list[UUID]) -> tuple[int, list[UUID]]:
        for _ in range(_ATTEMPTS):
            nodes = self._connections.read(lambda cursor: tree_rows.paths(cursor, page))
            scopes = self._connections.read(lambda cursor: tree_rows.scopes_by_id(cursor, page))
            tree = OpenedTree(nodes, {i: record.scope for i, record in scopes.items()}, self._keyring.load_root)
            asked, bad = set(page) & tree.nodes.keys(), list[UUID]()
            try:
                for node_id in asked:
                    try:
                        tree.key(node_id)
                    except Tampered:
                        bad.append(node_id)
            except KeyMissing:
                # A rotation has passed since the rows were read.
                continue
            return len(asked), bad
        raise KeysUnavailable("the root key in force is not in the keyring, or kept changing")

    def _compare(self, keys: ReplayedKeys) -> int:
        """Return how many rows differ; changes that still wait belong to the log."""
        try:
            with closing(self._connections.fresh()) as connection, transaction(connection) as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0")
                for change in change_rows.read_changes(cursor):
                    keys.apply(*change.to_json())
                return sum(_different(cursor, relation, rows) for relation, rows in keys.rows.items())
        except psycopg2.Error as error:
            raise unavailable(error) from None


def _different(cursor: Cursor, relation: str, expected: dict[str, str]) -> int:
    left, different = dict(expected), 0
    for page in change_rows.all_rows(cursor, relation):
        for row in page:
            different += left.pop(str(row[change_rows.RELATIONS[relation]]), None) != spelled(row)
    return different + len(left)
