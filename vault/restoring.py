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

CHECKED = "checked"
ROWS_PUT_BACK = "rows put back"
COMMITTED = "committed"
STEPS = (CHECKED, ROWS_PUT_BACK, COMMITTED)
"""The names of all steps, in order."""

_PAGE = 1_000


@dataclass(frozen=True)
class RestoredKeys:
    """What was put back: of which installation, how many rows, and the epoch of the root key in force."""

    installation_id: UUID
    rows: int
    epoch: int


def log_that_counts(live: Path, backup: Path, *, lost: bool) -> Path:
    """Return the folder of the log that keys are to come from, and change nothing.

    The log that was kept up to the end is the one that counts; the backup's copy is for when that is lost. A folder
    without a log does not say so, its volume may not be mounted: ``lost`` does. Raises ``RestoreRefused`` without it,
    and when the log there is older than the backup's, or of another installation.
    """
    log, copy = ChangeFolder(live), ChangeFolder(backup)
    newest, copied = log.last_generation(), copy.last_generation()
    if not newest:
        if not lost:
            raise RestoreRefused(
                "the key change log's folder is empty: is its volume mounted? Only if the log is lost: --log-lost"
            )
        return backup
    if log.installation(newest) != copy.installation(copied):
        raise RestoreRefused("the key change log in its folder is of another installation than the backup's")
    log_end, copy_end = log.end(newest), copy.end(copied)
    if (log_end.generation, log_end.length) < (copy_end.generation, copy_end.length):
        raise RestoreRefused("the key change log in its folder is older than the backup's: move it away")
    return live


def bring_log(live: Path, backup: Path, *, lost: bool) -> bool:
    """Make sure that the log's folder has the log that counts; return whether that goes on beyond the backup's copy.

    Raises what :func:`log_that_counts` raises.
    """
    copy = ChangeFolder(backup)
    copied = copy.end(copy.last_generation())
    if log_that_counts(live, backup, lost=lost) == backup:
        with ChangeFolder(live).alone():
            copy.copy(copied, live)
    return not ChangeFolder(live).ends_at(copied)


def check_log(folder: Path, keyring: Callable[[UUID], Keyring]) -> ReplayedKeys:
    """Replay a log to its end and look whether the keyring has its root key and opens the top.

    Raises ``KeyringMismatch`` when the log is older than the keyring, or the other way round, damaged, or of another
    installation; ``Tampered`` when the top does not open; ``KeysUnavailable``.
    """
    keys = replay(ChangeFolder(folder))
    if keys.destroyed_and_there():
        raise KeyringMismatch("the key change log is damaged: it has keys that it says were destroyed")
    root, top = keys.root(), keys.top()
    kept = keyring(keys.installation_id)
    try:
        OpenedTree([top], {}, kept.load_root).key(top.node_id)
        kept.load_root(root)
    except KeyMissing:
        raise lacks(kept, root) from None
    return keys


def restore_keys(
    dsn: str,
    folder: Path,
    keyring: Callable[[UUID], Keyring],
    *,
    after_step: Callable[[str], None] = lambda step: None,
    moved: Callable[[int, int], None] = lambda done, all_: None,
) -> RestoredKeys:
    """Put the keys of a log into a migrated, empty keys cluster; ``moved`` is told how many rows of how many.

    Raises ``RestoreRefused`` for a cluster that has keys, and what :func:`check_log` raises.
    """
    with ChangeFolder(folder).alone(), closing(connect(dsn)) as connection:
        try:
            with transaction(connection) as cursor:
                if tree_rows.read_installation(cursor) is not None:
                    raise RestoreRefused("the keys cluster has keys: only an empty one is restored into")
                keys = check_log(folder, keyring)
                after_step(CHECKED)
                _put_back(cursor, keys, moved)
                after_step(ROWS_PUT_BACK)
            after_step(COMMITTED)
        except psycopg2.Error as error:
            raise unavailable(error) from None
    return RestoredKeys(keys.installation_id, keys.count(), keys.root().epoch)


def _put_back(cursor: Cursor, keys: ReplayedKeys, moved: Callable[[int, int], None]) -> None:
    done, all_ = 0, keys.count()
    for relation, rows in keys.rows.items():
        ordered = keys.nodes_from_the_top() if relation == "key_node" else iter(rows.values())
        for page in _pages(ordered):
            change_rows.insert_rows(cursor, relation, page)
            done += len(page)
            moved(done, all_)
    change_rows.go_on_from(cursor, keys.end, keys.last_seq, keys.next_place)


def _pages(rows: Iterator[str]) -> Iterator[Sequence[str]]:
    while page := list(islice(rows, _PAGE)):
        yield page
