"""An independent check of what a copy came to, after whatever was done to it.

It shares no code with the service: it reads what :mod:`independent_read` found in the store, on the topics and in the
views, beside the clients' own journals of what they sent and what was answered, and says what does not fit. An empty
list means: nothing acknowledged is lost, nothing was done twice, both copies of the log are the same, and each view is
its own fold of the topic; of ``search_index`` all but its tags, which take keys to make (``independent_fold``).

Every function here is pure, so that each check can be shown a damaged input (``test_independent_check.py``).

A *mark* ties effects to who asked for them: over HTTP the request id, which events carry as their correlation id; on
the inbox the message id, which publishers of these tests put into the actor's name as ``m-<message id>``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from independent_fold import fold

Views = Mapping[str, Mapping[str, Any]]
ON_ITS_OWN = ("saga", "schedule", "cli")
"""Producers whose events no client asked for by mark; the saga's are counted against the approvals."""
STEPS = ("ErasureFenced", "ErasureDrained", "ErasureKeysDestroyed", "ErasureCertified")


@dataclass(frozen=True)
class Row:
    """One row of the store's ``events`` table."""

    position: int
    event_id: str
    stream_id: str
    version: int
    type: str
    record: bytes


@dataclass(frozen=True)
class Message:
    """One message of the events topic; ``headers`` as they came, in their order."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @property
    def position(self) -> int:
        """Return the position it claims."""
        return int(dict(self.headers)["ck-position"])


@dataclass(frozen=True)
class Seen:
    """Everything there is to compare.

    ``views``: view name → key → facts, as :func:`independent_fold.fold` gives them; ``positions``: view → position;
    ``set_aside``: how many records are parked or dead letters; ``journal``: the clients' lines, see ``load_journal``.
    """

    rows: Sequence[Row]
    topic: Sequence[Message]
    outcomes: Sequence[Mapping[str, Any]]
    views: Views
    positions: Mapping[str, int]
    set_aside: int
    journal: Sequence[Mapping[str, Any]]


@dataclass
class Asked:
    """One command as its client knows it: the receipts it got, and whether it was refused or never answered."""

    door: str
    receipts: list[Mapping[str, Any]] = field(default_factory=list)
    refusals: int = 0


def faults(seen: Seen) -> list[str]:
    """Return what does not fit, in words; empty when all does."""
    asked = commands(seen.journal)
    effects = effects_by_mark(seen.rows)
    return [
        *store_faults(seen.rows),
        *topic_faults(seen.rows, seen.topic),
        *command_faults(asked, effects),
        *inbox_faults(asked, seen.outcomes),
        *erasure_faults(seen.rows),
        *view_faults(seen.topic, seen.views, seen.positions),
        *([f"{seen.set_aside} records were set aside"] if seen.set_aside else []),
    ]


def store_faults(rows: Sequence[Row]) -> list[str]:
    """Positions are 1 to n; event ids are unique; streams count from 1; columns say what records say."""
    found = []
    if [row.position for row in rows] != list(range(1, len(rows) + 1)):
        found.append("store: positions are not 1 to n")
    times = Counter(row.event_id for row in rows)
    found += [f"store: event {event} is there {count} times" for event, count in times.items() if count > 1]
    streams: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        streams[row.stream_id].append(row.version)
        said = json.loads(row.record)
        columns = (row.event_id, row.stream_id, row.version, row.type)
        if columns != (said["event_id"], said["stream_id"], said["stream_version"], said["type"]):
            found.append(f"store: position {row.position} differs from its record")
    for stream, versions in streams.items():
        if versions != list(range(1, len(versions) + 1)):
            found.append(f"store: stream {stream} has versions {versions[:20]}")
    return found


def topic_faults(rows: Sequence[Row], topic: Sequence[Message]) -> list[str]:
    """The topic has the store's bytes at the store's positions, in order; copies of an earlier record are exact."""
    found: list[str] = []
    first: list[Message] = []
    for message in topic:
        position = message.position
        if position == len(first) + 1:
            first.append(message)
        elif position > len(first):
            found.append(f"topic: position {position} comes after {len(first)}")
            return found
        elif message != first[position - 1]:
            found.append(f"topic: position {position} comes again and differs")
    if len(first) != len(rows):
        found.append(f"topic: has {len(first)} positions, the store {len(rows)}")
    for row, message in zip(rows, first, strict=False):
        if (row.record, row.stream_id.encode()) != (message.value, message.key):
            found.append(f"topic: position {row.position} is not what the store has")
    return found


def commands(journal: Iterable[Mapping[str, Any]]) -> dict[str, Asked]:
    """Return mark → what its client knows of it."""
    asked: dict[str, Asked] = {}
    for line in journal:
        one = asked.setdefault(line["mark"], Asked(line["door"]))
        if line["what"] == "answered":
            one.receipts.append(line["receipt"])
        elif line["what"] == "refused":
            one.refusals += 1
    return asked


def effects_by_mark(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return mark → its events. What was read is recorded as often as it was read, and is nobody's effect."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        record = json.loads(row.record)
        if record["type"] == "AccessRecorded" or record["producer"] in ON_ITS_OWN:
            continue
        if record["producer"] == "inbox":
            found[record["actor"]["id"].removeprefix("m-")].append(row)
        else:
            found[record["correlation_id"]].append(row)
    return found


def command_faults(asked: Mapping[str, Asked], effects: Mapping[str, Sequence[Row]]) -> list[str]:
    """What was acknowledged is there once and as the receipt says; what was refused is not; the rest once at most."""
    found = [f"command {mark}: nobody asked for it" for mark in effects.keys() - asked.keys()]
    for mark, one in asked.items():
        rows = list(effects.get(mark, ()))
        if not one.receipts:
            if one.refusals and rows:
                found.append(f"command {mark}: refused, and has {len(rows)} events")
            elif not _once(rows):
                found.append(f"command {mark}: never acknowledged, and done more than once")
            continue
        receipt = one.receipts[0]
        if one.refusals or any(other != receipt for other in one.receipts):
            found.append(f"command {mark}: answered differently from one time to the next")
        if [row.event_id for row in rows] != receipt["event_ids"]:
            found.append(f"command {mark}: its receipt names {len(receipt['event_ids'])} events, it has {len(rows)}")
        elif rows and (rows[-1].stream_id, rows[-1].version, rows[-1].position) != (
            receipt["stream"], receipt["version"], receipt["position"],
        ):  # fmt: skip
            found.append(f"command {mark}: its last event is not where the receipt says")
        if not _together(rows):
            found.append(f"command {mark}: its events do not lie together")
    return found


def inbox_faults(asked: Mapping[str, Asked], outcomes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every message that was published has an outcome, the same each time, and the one its sender got."""
    by_message: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for outcome in outcomes:
        by_message[outcome["message_id"]].append(outcome)
    found = []
    for mark, one in asked.items():
        if one.door != "inbox":
            continue
        said = by_message.get(mark, [])
        if not said:
            found.append(f"message {mark}: no outcome")
        elif any(outcome != said[0] for outcome in said):
            found.append(f"message {mark}: {len(said)} outcomes that differ")
        elif said[0]["status"] == "accepted":
            if any(receipt != said[0]["answer"]["receipt"] for receipt in one.receipts) or one.refusals:
                found.append(f"message {mark}: its sender was told something else")
        elif one.receipts:
            found.append(f"message {mark}: rejected, and its sender was told otherwise")
    return found


def erasure_faults(rows: Iterable[Row]) -> list[str]:
    """Each approved erasure was fenced, destroyed and certified, once each and in this order."""
    steps: dict[str, list[str]] = defaultdict(list)
    approved: set[str] = set()
    for row in rows:
        if row.type == "ErasureApproved":
            approved.add(json.loads(row.record)["data"]["request_id"])
        elif row.type in STEPS:
            steps[json.loads(row.record)["data"]["request_id"]].append(row.type)
    found = [f"erasure {request}: nobody approved it" for request in steps.keys() - approved]
    found += [f"erasure {request}: {steps[request]}" for request in approved if tuple(steps[request]) != STEPS]
    return found


def view_faults(topic: Iterable[Message], views: Views, positions: Mapping[str, int]) -> list[str]:
    """Each view is at the topic's end, and is its own fold of the topic; there is no view that nobody folds."""
    records: dict[int, Mapping[str, Any]] = {}
    for message in topic:
        records.setdefault(message.position, json.loads(message.value))
    expected = fold(records[position] for position in sorted(records))
    found = [f"view {view}: nobody folds it" for view in sorted(positions.keys() - expected.keys())]
    for view, facts in expected.items():
        if positions.get(view) != len(records):
            found.append(f"view {view}: at {positions.get(view)}, the topic is at {len(records)}")
        there = views.get(view, {})
        wrong = [key for key in facts.keys() | there.keys() if facts.get(key) != there.get(key)]
        found += [f"view {view}: {key} is {there.get(key)}, should be {facts.get(key)}" for key in sorted(wrong)[:5]]
        if len(wrong) > 5:
            found.append(f"view {view}: and {len(wrong) - 5} more")
    return found


def _together(rows: Sequence[Row]) -> bool:
    return all(later.position == row.position + 1 for row, later in pairwise(rows))


def _once(rows: Sequence[Row]) -> bool:
    """Return whether events can be one command's: side by side, and no type twice."""
    return _together(rows) and len({row.type for row in rows}) == len(rows)
