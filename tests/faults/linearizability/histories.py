"""Short histories made by hand, with what must be found in each: what a checker calls right must be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linearizability.history import Operation

S, K, O = "stream:1", "key:1/1", "order:1"  # noqa: E741


def told(call: int, ended: int | None, asked: Mapping[str, Any], answer: Mapping[str, Any] | None) -> Operation:
    """Return an operation; its object follows from what was asked."""
    name = {"append": S, "read": S, "do": K}.get(asked["do"], O)
    return Operation(name, call, call, ended, asked, answer)


def appended(call: int, ended: int, expected: int, *ids: int) -> Operation:
    return told(call, ended, _append(expected, *ids), {"said": "ok", "version": expected + len(ids)})


def conflict(call: int, ended: int, expected: int, *ids: int) -> Operation:
    return told(call, ended, _append(expected, *ids), {"said": "conflict"})


def unknown(call: int, expected: int, *ids: int) -> Operation:
    return told(call, None, _append(expected, *ids), None)


def read(call: int, ended: int, *ids: int, after: int = 0) -> Operation:
    return told(call, ended, {"do": "read", "after": after}, {"said": "ok", "ids": list(ids)})


def start(call: int, head: int) -> Operation:
    return told(call, call, {"do": "start"}, {"said": "ok", "head": head})


def advanced(call: int, ended: int | None, *positions: int) -> Operation:
    return told(call, ended, {"do": "advance"}, {"said": "ok", "positions": list(positions)})


def head(call: int, ended: int, position: int) -> Operation:
    return told(call, ended, {"do": "head"}, {"said": "ok", "head": position})


def page(call: int, ended: int, first: int, limit: int, *positions: int) -> Operation:
    asked = {"do": "page", "from": first, "limit": limit}
    return told(call, ended, asked, {"said": "ok", "positions": list(positions)})


def done(call: int, ended: int | None, event: int, said: str | None = "ok", winner: int = 0) -> Operation:
    answer = {"said": said, "ids": [winner] if winner else []} if said else None
    return told(call, ended, {"do": "do", "ids": [event]}, answer)


def _append(expected: int, *ids: int) -> dict[str, Any]:
    return {"do": "append", "expected": expected, "ids": list(ids)}


RIGHT: Mapping[str, list[Operation]] = {
    "one after the other": [appended(0, 1, 0, 7), read(2, 3, 7), appended(4, 5, 1, 8, 9), read(6, 7, 8, 9, after=1)],
    "a read beside an append sees it": [appended(0, 9, 0, 7), read(1, 2, 7)],
    "a read beside an append sees it not yet": [appended(0, 9, 0, 7), read(1, 2), read(3, 4, 7)],
    "rivals, one told of the other": [appended(0, 9, 0, 7), conflict(1, 8, 0, 8), read(10, 11, 7)],
    "a conflict that only a later answer explains": [conflict(0, 9, 0, 8), appended(1, 5, 0, 7)],
    "never answered and done": [unknown(0, 0, 7), read(5, 6), read(7, 8, 7)],
    "never answered and done late": [unknown(0, 1, 8), appended(2, 3, 0, 7), read(4, 5, 7), read(6, 7, 7, 8)],
    "never answered and never done": [unknown(0, 0, 7), appended(2, 3, 0, 8), read(4, 5, 8)],
    "relied upon where it stood": [appended(0, 1, 0, 7), appended(2, 3, 1), read(4, 5, 7)],
    "at the same moment": [appended(0, 5, 0, 7), read(5, 6)],
    "an order in step": [start(0, 4), advanced(1, 2, 5, 6), head(3, 4, 6), page(5, 6, 5, 9, 5, 6), page(7, 8, 7, 2)],
    "an order with overlaps": [start(0, 0), advanced(1, 9, 2), advanced(2, 8, 1), head(3, 4, 0), head(5, 6, 2)],
    "an unanswered append in the order": [start(3, 0), advanced(1, None, 2), advanced(4, 5, 1), head(6, 7, 2)],
    "one effect of a key": [done(0, 1, 7), done(2, 3, 8, "known", 7)],
    "one effect of rival keys": [done(0, 9, 7, "known", 8), done(1, 8, 8), done(2, 3, 9, "conflict")],
    "a repeat after no answer": [done(0, None, 7, None), done(2, 3, 8, "known", 7)],
    "a repeat after nothing was done": [done(0, None, 7, None), done(2, 3, 8), done(4, 5, 9, "known", 8)],
}

WRONG: Mapping[str, list[Operation]] = {
    "a stale read": [appended(0, 1, 0, 7), read(2, 3)],
    "a read that goes back": [appended(0, 9, 0, 7), read(1, 2, 7), read(3, 4)],
    "a lost append": [appended(0, 1, 0, 7), appended(2, 3, 0, 8), read(4, 5, 8)],
    "a double append": [appended(0, 1, 0, 7), read(2, 3, 7, 7)],
    "two at one version": [appended(0, 9, 0, 7), appended(1, 8, 0, 8)],
    "a conflict with nobody": [conflict(0, 1, 0, 7), read(2, 3)],
    "a conflict, and done all the same": [conflict(0, 1, 0, 7), read(2, 3, 7)],
    "never answered, seen and gone": [unknown(0, 0, 7), read(2, 3, 7), read(4, 5)],
    "never answered, done before it was asked": [read(0, 1, 7), unknown(2, 0, 7)],
    "relied upon where it was no more": [appended(0, 1, 0, 7), appended(2, 3, 0)],
    "two orders for two readers": [
        *(appended(0, 99, 0, 7), unknown(0, 0, 8)),
        *(read(1, 2, 7), read(3, 4, 8)),
    ],
    "half a command": [appended(0, 9, 0, 7, 8), read(1, 2, 7)],
    "a head that goes back": [start(0, 0), advanced(1, 9, 1), head(2, 3, 1), head(4, 5, 0)],
    "an acknowledged append that the head does not show": [start(0, 0), advanced(1, 2, 1), head(3, 4, 0)],
    "an acknowledged append that a page does not show": [start(0, 0), advanced(1, 2, 1), page(3, 4, 1, 5)],
    "a gap": [start(0, 0), advanced(1, 2, 2), head(3, 4, 2)],
    "one position twice": [start(0, 0), advanced(1, 9, 1), advanced(2, 8, 1)],
    "positions against the order of time": [start(0, 0), advanced(1, 2, 2), advanced(3, 4, 1)],
    "a page with a hole": [start(0, 3), page(1, 2, 1, 3, 1, 3)],
    "two effects of a key": [done(0, 1, 7), done(2, 3, 8)],
    "told of another's effect": [done(0, 1, 7), done(2, 3, 8, "known", 9)],
    "known before it was done": [done(0, 1, 8, "known", 7), done(2, 3, 7)],
    "a repeat that is done again": [done(0, None, 7, None), done(2, 3, 8, "known", 7), done(4, 5, 9)],
}
