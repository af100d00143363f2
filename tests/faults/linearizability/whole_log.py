"""The whole log at once: the order of its positions must explain every answer that anybody got.

An object's history cannot show that a command on several streams is one thing, and that it was decided on what held at
its place in the order. Here the table is gone through from the first event to the last, and each call is held against
it: plain bookkeeping in the order that the positions themselves state, so there is nothing to search for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from linearizability.assembly import Call, Stored


def differences(calls: Sequence[Call], table: Sequence[Stored]) -> list[str]:
    """Return every contradiction between what was told and the table, which is in the order of its positions."""
    return [
        *_table_is_whole(table),
        *_answers(calls, table),
        *_decisions(calls, table),
        *_keys(calls, table),
        *_times(calls, table),
    ]


def _table_is_whole(table: Sequence[Stored]) -> Iterator[str]:
    if [stored.position for stored in table] != list(range(1, len(table) + 1)):
        yield "the positions have gaps or repeat"
    versions: dict[int, int] = defaultdict(int)
    for stored in table:
        versions[stored.stream] += 1
        if stored.version != versions[stored.stream]:
            yield f"stream {stored.stream} has version {stored.version} where {versions[stored.stream]} follows"
    if twice := [event for event, times in Counter(stored.event for stored in table).items() if times > 1]:
        yield f"events stored twice: {twice[:3]}"


def _answers(calls: Sequence[Call], table: Sequence[Stored]) -> Iterator[str]:
    """An acknowledged append is stored as acknowledged, a refused one is not; a page shows what stands there."""
    stored = {one.event: one for one in table}
    for call in calls:
        if call.asked["do"] == "read" and call.said == "ok" and call.told is not None:
            after, ids = call.asked["after"], call.told["ids"]
            if call.told["versions"] != list(range(after + 1, after + 1 + len(ids))):
                yield f"a read of stream {call.asked['stream']} skipped a version"
        if call.asked["do"] == "page" and call.said == "ok" and call.told is not None:
            shown = [(table[p - 1].position, table[p - 1].event) for p in call.told["positions"] if p <= len(table)]
            if shown != list(zip(call.told["positions"], call.told["ids"], strict=True)):
                yield f"a page from {call.asked['from']} showed what does not stand there"
        if call.asked["do"] != "append" or call.said == "unknown":
            continue
        found = [stored.get(event) for _, _, event in call.asked["events"]]
        if call.said != "ok" or call.told is None:
            if any(found):
                yield f"answered {call.said!r}, and stored all the same: {call.asked['events']}"
            continue
        wanted = [
            Stored(position, event, stream, version)
            for position, (stream, version, event) in zip(call.told["positions"], call.asked["events"], strict=True)
        ]
        if found != wanted:
            yield f"acknowledged, and not stored like that: {call.asked['events']}"


def _decisions(calls: Sequence[Call], table: Sequence[Stored]) -> Iterator[str]:
    """Each command stands together, and every stream it relied on was as it knew it at that place."""
    command_of = {call.asked["events"][0][2]: call for call in calls if call.asked["do"] == "append"}
    versions: dict[int, int] = defaultdict(int)
    at = 0
    while at < len(table):
        call = command_of.get(table[at].event)
        if call is None:
            yield f"position {table[at].position} holds no command's first event"
            return
        events = call.asked["events"]
        if [one.event for one in table[at : at + len(events)]] != [event for _, _, event in events]:
            yield f"a command was taken apart at position {table[at].position}"
        for stream, version in call.asked["expected"]:
            if versions[stream] != version:
                yield (
                    f"position {table[at].position} was decided on version {version} of stream {stream}, "
                    f"which stood at {versions[stream]}"
                )
        for stream, version, _ in events:
            versions[stream] = version
        at += len(events)


def _keys(calls: Sequence[Call], table: Sequence[Stored]) -> Iterator[str]:
    """One effect per key, and whoever comes later is told of that one, with its position."""
    position_of = {stored.event: stored.position for stored in table}
    effects: dict[tuple[int, int], list[int]] = defaultdict(list)
    keyed = [call for call in calls if call.asked["do"] == "append" and call.asked["key"] is not None]
    for call in keyed:
        if call.asked["events"][-1][2] in position_of:
            effects[(call.round, call.asked["key"])].append(call.asked["events"][-1][2])
    for key, events in effects.items():
        if len(events) > 1:
            yield f"key {key} had {len(events)} effects"
    for call in keyed:
        if call.said == "known" and call.told is not None:
            event = call.told["event"]
            if effects[(call.round, call.asked["key"])] != [event] or call.told["position"] != position_of.get(event):
                yield f"key {call.asked['key']} of round {call.round}: told of another command"


def _times(calls: Sequence[Call], table: Sequence[Stored]) -> Iterator[str]:
    """What was acknowledged or seen before a call began is there for that call: nobody looks back in time."""
    ended: list[tuple[int, int]] = []
    for call in calls:
        if call.ended is not None and (seen := _furthest(call)) is not None:
            ended.append((call.ended, seen))
    ended.sort()
    times, heads = [at for at, _ in ended], []
    for _, seen in ended:
        heads.append(max(seen, heads[-1] if heads else 0))
    for call in calls:
        before = bisect_left(times, call.at)
        known = heads[before - 1] if before else 0
        told = call.told
        if told is None or call.said != "ok":
            continue
        if call.asked["do"] == "append" and told["positions"][0] <= known:
            yield f"appended at {told['positions'][0]} after position {known} had been seen"
        if call.asked["do"] == "head" and told["head"] < known:
            yield f"a head of {told['head']} after position {known} had been seen"
        if call.asked["do"] == "page":
            there = max(0, min(known, call.asked["from"] + call.asked["limit"] - 1) - call.asked["from"] + 1)
            if len(told["positions"]) < there:
                yield f"a page from {call.asked['from']} had {len(told['positions'])} events, {there} were known"


def _furthest(call: Call) -> int | None:
    if call.told is None or call.said == "refused":
        return None
    if call.said == "known":
        return int(call.told["position"])
    if "head" in call.told:
        return int(call.told["head"])
    positions = call.told.get("positions")
    return int(positions[-1]) if positions else None
