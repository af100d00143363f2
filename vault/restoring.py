"""Puts the keys back from the key change log: last dump, then every change, to the end, in one transaction.

The triggers of the tables check what is put back as they check everything else. The cluster then goes on with the same
log, at its end. Rows that are older than the keyring are refused before anything is committed: their root key is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

import psycopg2
from psycopg2.extensions import cursor as Cursor

from domain.errors import KeyringMismatch, RestoreRefused
from vault import change_rows, tree_rows
from vault.change_file import ChangeFolder
from vault.change_replay import ReplayedKeys, replay
from vault.connections import connect, transaction, unavailable
from vault.keyring import KeyMissing, Keyring, lacks
from vault.nodes import OpenedTree

REPLAYED = "replayed"
ROWS_PUT_BACK = "rows put back"
COMMITTED = "committed"
STEPS = (REPLAYED, ROWS_PUT_BACK, COMMITTED)
"""The names of all steps, in order."""

_PAGE = 1_000


@dataclass(frozen=True)
class RestoredKeys:
    """What was put back: how many rows, and the epoch of the root key in force."""

    installation_id: UUID
    rows: int
    epoch: int


def restore_keys(
    dsn: str,
    folder: Path,
    keyring: Callable[[UUID], Keyring],
    *,
    dry_run: bool = False,
    after_step: Callable[[str], None] = lambda step: None,
    moved: Callable[[int, int], None] = lambda done, all_: None,
) -> RestoredKeys:
    """Put the keys of a log into a migrated, empty keys cluster; ``moved`` is told how many rows of how many.

    Raises ``RestoreRefused`` for a cluster that has keys; ``KeyringMismatch`` when the log is older than the keyring,
    damaged, or of another installation; ``Tampered`` when the top does not open; ``KeysUnavailable``.
    """
    files = ChangeFolder(folder)
    with files.alone(), closing(connect(dsn)) as connection:
        try:
            with transaction(connection) as cursor:
                if tree_rows.read_installation(cursor) is not None:
                    raise RestoreRefused("the keys cluster has keys: only an empty one is restored into")
                keys = replay(files)
                after_step(REPLAYED)
                _put_back(cursor, keys, moved)
                restored = _checked(cursor, keys, keyring(keys.installation_id))
                after_step(ROWS_PUT_BACK)
                if dry_run:
                    connection.rollback()
                    return restored
            after_step(COMMITTED)
        except psycopg2.Error as error:
            raise unavailable(error) from None
    return restored


def _put_back(cursor: Cursor, keys: ReplayedKeys, moved: Callable[[int, int], None]) -> None:
    done, all_ = 0, sum(map(len, keys.rows.values()))
    for relation, rows in keys.rows.items():
        ordered = keys.nodes_from_the_top() if relation == "key_node" else iter(rows.values())
        for page in _pages(ordered):
            change_rows.insert_rows(cursor, relation, page)
            done += len(page)
            moved(done, all_)
    change_rows.go_on_from(cursor, keys.end, keys.last_seq, keys.next_place)


def _checked(cursor: Cursor, keys: ReplayedKeys, keyring: Keyring) -> RestoredKeys:
    root = tree_rows.read_root(cursor)
    if change_rows.destroyed_and_there(cursor):
        raise KeyringMismatch("the key change log is damaged: it has keys that it says were destroyed")
    top = tree_rows.nodes_at(cursor, [(root.top_level, 0)])
    try:
        for node in top.values():
            OpenedTree([node], {}, keyring.load_root).key(node.node_id)
    except KeyMissing:
        raise lacks(keyring, root.ref) from None
    return RestoredKeys(keys.installation_id, sum(map(len, keys.rows.values())), root.ref.epoch)


def _pages(rows: Iterator[str]) -> Iterator[Sequence[str]]:
    while page := list(islice(rows, _PAGE)):
        yield page
