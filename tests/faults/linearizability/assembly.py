"""The notes of all processes as histories of objects, with what the table finally holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearizability.history import Operation


@dataclass(frozen=True)
class Stored:
    """A row of the table, by the numbers of the notes."""

    position: int
    event: int
    stream: int
    version: int


@dataclass(frozen=True)
class Call:
    """A call as noted; ``told`` and ``ended`` are ``None`` where no answer was noted."""

    round: int
    client: int
    at: int
    asked: Mapping[str, Any]
    ended: int | None = None
    told: Mapping[str, Any] | None = None

    @property
    def said(self) -> str:
        return "unknown" if self.told is None else str(self.told["said"])


@dataclass(frozen=True)
class Boundary:
    """The head while nobody was asking anything, between two rounds."""

    at: int
    head: int


def read_notes(file: Path, round_: int) -> list[Call]:
    """Return the calls of one process; a last line that was cut off by its end is left out."""
    asked: dict[int, Call] = {}
    for text in file.read_bytes().split(b"\n")[:-1]:
        line = json.loads(text)
        if "asked" in line:
            asked[line["n"]] = Call(round_, line["process"], line["at"], line["asked"])
        else:
            call = asked[line["n"]]
            asked[line["n"]] = Call(round_, call.client, call.at, call.asked, line["at"], line["told"])
    return list(asked.values())


def assemble(calls: Iterable[Call], table: Iterable[Stored], boundaries: Mapping[int, Boundary]) -> list[Operation]:
    """Return the operations of every object. ``boundaries``: by round, the one before it.

    A call on several objects is an operation of each. One that was refused has surely done nothing and is left out;
    that is checked with the whole log. A look without an answer says nothing and is left out, too. In the order, an
    append without an answer stands where the table has it.
    """
    positions = {stored.event: stored.position for stored in table}
    found: list[Operation] = []
    for round_, boundary in boundaries.items():
        start = {"said": "ok", "head": boundary.head}
        found.append(Operation(f"order:{round_}", 0, boundary.at, boundary.at, {"do": "start"}, start))
    for call in calls:
        if call.asked["do"] == "append" and call.said != "refused":
            found += _append(call, positions, boundaries)
        elif call.asked["do"] != "append" and call.said == "ok" and call.told is not None:
            found.append(_look(call, call.told))
    return found


def _look(call: Call, told: Mapping[str, Any]) -> Operation:
    asked = call.asked
    if asked["do"] == "read":
        output = {"said": "ok", "ids": told["ids"]}
        return _operation(call, f"stream:{asked['stream']}", {"do": "read", "after": asked["after"]}, output)
    shown = {name: value for name, value in told.items() if name != "ids"}
    return _operation(call, f"order:{call.round}", asked, shown)


def _append(call: Call, positions: Mapping[int, int], boundaries: Mapping[int, Boundary]) -> Iterator[Operation]:
    events, expected = call.asked["events"], dict(call.asked["expected"])
    if call.asked["key"] is not None:
        yield _on_key(call, events[-1][2])
    if call.said == "known":
        return
    for stream, version in expected.items():
        ids = [event for one, _, event in events if one == stream]
        asked = {"do": "append", "expected": version, "ids": ids}
        if call.said == "conflict":
            if call.told is not None and call.told["stream"] == stream:
                yield _operation(call, f"stream:{stream}", asked, {"said": "conflict"})
        elif call.said == "ok":
            yield _operation(call, f"stream:{stream}", asked, {"said": "ok", "version": version + len(ids)})
        elif ids:
            yield _operation(call, f"stream:{stream}", asked, None)
    known = [positions.get(event) for _, _, event in events]
    told = call.told["positions"] if call.told is not None and call.said == "ok" else known
    if call.said == "ok" or (call.said == "unknown" and all(position is not None for position in known)):
        round_ = max(r for r, boundary in boundaries.items() if boundary.head < max(1, told[0]))
        yield Operation(
            f"order:{round_}", call.client, call.at, call.ended, {"do": "advance"}, {"said": "ok", "positions": told}
        )


def _on_key(call: Call, event: int) -> Operation:
    output = None
    if call.told is not None:
        output = {"said": call.said, "ids": [call.told["event"]] if call.said == "known" else []}
    return _operation(call, f"key:{call.round}/{call.asked['key']}", {"do": "do", "ids": [event]}, output)


def _operation(call: Call, name: str, asked: Mapping[str, Any], told: Mapping[str, Any] | None) -> Operation:
    return Operation(name, call.client, call.at, call.ended, asked, told)
