"""The key rows that the key change log stands for: the last dump and every change since, to the end.

The order of the frames does not matter: of each row the change with the highest number counts, and that order is the
order of the commits, because a row is locked until its change is committed. So it does no harm that a change may stand
in the log twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.errors import KeyringMismatch, KeysUnavailable
from vault.change_file import FORMAT, ChangeFolder, Frame, Mark, damaged
from vault.change_rows import RELATIONS, Row
from vault.keyring import RootRef
from vault.nodes import Node


@dataclass
class ReplayedKeys:
    """All rows of the keys cluster as the log has them: per table, by key, as JSON objects in one spelling.

    ``next_place`` is the place of the next new person, ``last_seq`` the highest number of a change, ``end`` the
    mark behind the last frame.
    """

    installation_id: UUID
    next_place: int
    end: Mark
    last_seq: int = 0
    rows: dict[str, dict[str, str]] = field(default_factory=lambda: {relation: {} for relation in RELATIONS})
    _seqs: dict[tuple[str, str], int] = field(default_factory=dict)

    def apply(self, seq: int, relation: str, gone: bool, rows: list[Row]) -> None:
        """Apply one change, if no later one of the same row was applied."""
        self.last_seq = max(self.last_seq, seq)
        for row in rows:
            key = str(row[RELATIONS[relation]])
            if self._seqs.get((relation, key), 0) > seq:
                continue
            self._seqs[relation, key] = seq
            if gone:
                self.rows[relation].pop(key, None)
            else:
                self.rows[relation][key] = spelled(row)
            if row.get("kind") == "person":
                self.next_place = max(self.next_place, row["place"] + 1)

    def root(self) -> RootRef:
        """Return the root key in force. Raises ``KeyringMismatch`` when there is none."""
        return RootRef(self._root_row()["epoch"], UUID(self._root_row()["key_id"]))

    def top(self) -> Node:
        """Return the top of the tree. Raises ``KeyringMismatch`` when there is none."""
        level = self._root_row()["top_level"]
        for text in self.rows["key_node"].values():
            row = json.loads(text)
            if (row["level"], row["place"]) == (level, 0):
                return node_of(row)
        raise KeyringMismatch("the key change log is damaged: it has no top of the tree")

    def count(self) -> int:
        """Return how many rows there are in all tables together."""
        return sum(map(len, self.rows.values()))

    def destroyed_and_there(self) -> int:
        """Return how many keys have a row although their destruction is on record."""
        return len(self.rows["key_node"].keys() & (self.rows["destroyed_scope"].keys() | self.rows["destroyed_person"]))

    def _root_row(self) -> Row:
        for text in self.rows["key_root"].values():
            row: Row = json.loads(text)
            if row["key_id"] is not None:
                return row
        raise KeyringMismatch("the key change log is damaged: it names no root key")

    def nodes_from_the_top(self) -> Iterator[str]:
        """Yield the rows of all keys, parents first."""
        nodes = [(_depth(json.loads(row)), row) for row in self.rows["key_node"].values()]
        return (row for _, row in sorted(nodes))


def replay(folder: ChangeFolder) -> ReplayedKeys:
    """Read the newest generation to its end. Raises ``KeysUnavailable``, and ``KeyringMismatch`` for a damaged one."""
    generation = folder.last_generation()
    if not generation:
        raise KeysUnavailable("there is no key change log in its folder")
    keys: ReplayedKeys | None = None
    dumped = False
    for frame in folder.frames(generation):
        try:
            keys = _taken_in(keys, frame)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise damaged("a frame") from None
        dumped = dumped or "dumped" in frame.content
    if keys is None or not dumped:
        raise KeyringMismatch("the key change log is damaged: its dump is not whole")
    return keys


def _taken_in(keys: ReplayedKeys | None, frame: Frame) -> ReplayedKeys:
    """Return the keys with what a frame says; the first frame begins them."""
    content = frame.content
    if keys is None:
        keys = _begun(content, frame.end)
    elif "relation" in content:
        keys.apply(0, content["relation"], False, content["rows"])
    for change in content.get("changes", []):
        keys.apply(*change)
    keys.end = frame.end
    return keys


def node_of(row: Row) -> Node:
    """Return the node that a row is. Raises ``KeyringMismatch`` for one that is none."""
    try:
        hidden = {name: bytes.fromhex(row[name].removeprefix("\\x")) for name in ("wrapped", "fingerprint")}
        return Node(**{**row, **hidden, "node_id": UUID(row["node_id"]), "parent_id": UUID(row["parent_id"])})
    except (KeyError, TypeError, ValueError, AttributeError):
        raise damaged("a key's row") from None


def spelled(row: Row) -> str:
    """Return a row as JSON in one spelling."""
    return json.dumps(row, sort_keys=True, separators=(",", ":"))


def _begun(header: dict[str, Any], end: Mark) -> ReplayedKeys:
    if header.get("format") != FORMAT:
        raise KeyringMismatch("the key change log has an unknown version")
    if not isinstance(header["next_place"], int):
        raise TypeError("next_place is no number")
    return ReplayedKeys(UUID(header["installation"]), header["next_place"], end)


def _depth(node: Row) -> int:
    """Return how far down a key is: 0 for people, less above them, 1 for data keys, which have no level."""
    return -int(node["level"]) if node["level"] is not None else 1
