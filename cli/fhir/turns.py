"""Which people to collect at which reading of the files, so that those under way at one time are never too many."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

Span = tuple[int, int, int]
"""Number of a person's entries, ordinal of the first, ordinal of the last."""


def plan_turns(spans: Mapping[int, Span], most: int) -> dict[int, int]:
    """Return person → turn (from 0). In one turn at most ``most`` entries are open at a time, or one person's."""
    turns: dict[int, int] = {}
    open_: list[list[tuple[int, int]]] = []
    loads: list[int] = []
    for person, (count, first, last) in sorted(spans.items(), key=lambda item: item[1][1]):
        turn = 0
        while True:
            if turn == len(open_):
                open_.append([])
                loads.append(0)
            while open_[turn] and open_[turn][0][0] < first:
                loads[turn] -= heapq.heappop(open_[turn])[1]
            if not open_[turn] or loads[turn] + count <= most:
                break
            turn += 1
        heapq.heappush(open_[turn], (last, count))
        loads[turn] += count
        turns[person] = turn
    return turns
