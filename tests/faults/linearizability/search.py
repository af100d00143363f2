"""Is there an order of these operations that fits their times and the specification? A search like Wing and Gong's.

It takes, one after the other, any operation that could come next (called before the first of the others returned) and
whose answer is true then, and goes back where none is left. Sets of operations that were tried with the same state are
remembered (Lowe, "Testing for linearizability"), so that they are not tried again. An operation that was never answered
may be left out or come at any time after its call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from linearizability.history import Operation, by_object
from linearizability.specification import Impossible, State, step


@dataclass(frozen=True)
class Anomaly:
    """A history without such an order: ``operation`` returned, and nothing that fits could come before."""

    object: str
    ordered: int
    operation: Operation
    state: State


@dataclass
class _Entry:
    """A call or a return, in a list in the order of time; a call's ``match`` is its return."""

    operation: Operation
    bit: int
    call: bool
    previous: _Entry | None = None
    following: _Entry | None = None
    match: _Entry | None = None


def anomalies(operations: Iterable[Operation]) -> list[Anomaly]:
    """Return an anomaly for each object whose history is not linearizable."""
    found = [check(history) for history in by_object(operations).values()]
    return [anomaly for anomaly in found if anomaly is not None]


def check(operations: Sequence[Operation]) -> Anomaly | None:
    """Check the history of one object. Every operation ever called on it must be there."""
    head = _list(operations)
    left = sum(operation.ended is not None for operation in operations)
    taken: list[tuple[_Entry, State]] = []
    tried: set[tuple[int, State]] = set()
    state: State = None
    mask, furthest = 0, -1
    worst: Anomaly | None = None
    entry = head.following
    while left:
        assert entry is not None
        if entry.call:
            following = _after(state, entry.operation)
            if following and (key := (mask | entry.bit, following[0])) not in tried:
                tried.add(key)
                taken.append((entry, state))
                mask, state = key
                left -= entry.operation.ended is not None
                _lift(entry)
                entry = head.following
            else:
                entry = entry.following
            continue
        if len(taken) > furthest:
            furthest = len(taken)
            worst = Anomaly(entry.operation.object, furthest, entry.operation, state)
        if not taken:
            return worst
        entry, state = taken.pop()
        mask ^= entry.bit
        left += entry.operation.ended is not None
        _unlift(entry)
        entry = entry.following
    return None


def _after(state: State, operation: Operation) -> tuple[State] | None:
    try:
        return (step(state, operation.input, operation.output),)
    except Impossible:
        return None


def _list(operations: Sequence[Operation]) -> _Entry:
    """Return the head of the list of calls and returns; at the same time a call comes first, so that they overlap."""
    entries: list[tuple[int, bool, _Entry]] = []
    for number, operation in enumerate(operations):
        call = _Entry(operation, 1 << number, call=True)
        entries.append((operation.call, False, call))
        if operation.ended is not None:
            call.match = _Entry(operation, 1 << number, call=False)
            entries.append((operation.ended, True, call.match))
    head = last = _Entry(operations[0], 0, call=True)
    for _, _, entry in sorted(entries, key=_when):
        last.following, entry.previous = entry, last
        last = entry
    return head


def _when(entry: tuple[int, bool, _Entry]) -> tuple[int, bool]:
    return entry[:2]


def _lift(entry: _Entry) -> None:
    """Take a call and its return out of the list."""
    for one in (entry, entry.match):
        if one is not None:
            assert one.previous is not None
            one.previous.following = one.following
            if one.following is not None:
                one.following.previous = one.previous


def _unlift(entry: _Entry) -> None:
    """Put them back: in the opposite order, as each still knows its neighbours."""
    for one in (entry.match, entry):
        if one is not None:
            assert one.previous is not None
            one.previous.following = one
            if one.following is not None:
                one.following.previous = one
