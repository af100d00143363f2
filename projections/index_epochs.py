"""The epochs of the blind index: which there are, how far the next one is built, and deleting the tags of the last.

Part of the ``search_index`` view; whoever changes anything there takes these rows first.
"""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor

DELETED_AT_ONCE = 20_000
"""So many tags of a retired epoch are deleted in one step."""

TABLE = """
CREATE TABLE view_search_index_epochs (
    epoch integer PRIMARY KEY,
    state text NOT NULL,
    built_to uuid
);
"""

Epochs = dict[int, tuple[str, str | None]]
"""Epoch → its state (``building``, ``current``, ``retired``) and the last source that was given tags of it."""


def take(cursor: Cursor) -> None:
    """Keep everybody else from changing the view until this transaction ends; reading goes on."""
    cursor.execute("LOCK TABLE view_search_index_epochs IN SHARE ROW EXCLUSIVE MODE")


def epochs(cursor: Cursor) -> Epochs:
    """Return all epochs, the oldest first."""
    cursor.execute("SELECT epoch, state, built_to::text FROM view_search_index_epochs ORDER BY epoch")
    return {epoch: (state, built_to) for epoch, state, built_to in cursor.fetchall()}


def add(cursor: Cursor, epoch: int, state: str) -> None:
    """Begin an epoch."""
    cursor.execute("INSERT INTO view_search_index_epochs (epoch, state) VALUES (%s, %s)", (epoch, state))


def note_built(cursor: Cursor, epoch: int, source_id: str) -> None:
    """Note up to which source an epoch is built."""
    cursor.execute("UPDATE view_search_index_epochs SET built_to = %s WHERE epoch = %s", (source_id, epoch))


def put_in_force(cursor: Cursor, epoch: int) -> None:
    """Make an epoch the one that is searched, and retire the one before it."""
    cursor.execute(
        "UPDATE view_search_index_epochs SET state = CASE WHEN epoch = %s THEN 'current' ELSE 'retired' END", (epoch,)
    )


def delete_tags(cursor: Cursor, epoch: int) -> None:
    """Delete some of a retired epoch's tags, and the epoch with the last of them."""
    cursor.execute(
        "DELETE FROM view_search_index_tags WHERE ctid = ANY(ARRAY("
        "SELECT ctid FROM view_search_index_tags WHERE epoch = %s LIMIT %s))",
        (epoch, DELETED_AT_ONCE),
    )
    if cursor.rowcount < DELETED_AT_ONCE:
        cursor.execute("DELETE FROM view_search_index_epochs WHERE epoch = %s", (epoch,))
