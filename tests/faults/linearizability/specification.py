"""What a stream, an idempotency key and the order of the log may do, one operation after the other.

The same rules as in ``models.go``, written again: the two are held against one another by the same histories.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

State = tuple[int, ...] | int | None
"""Of a stream the ids of its events, of a key the id of its event, of the order the last position; first ``None``."""

Input = Mapping[str, Any]
Output = Mapping[str, Any] | None


class Impossible(Exception):
    """The answer cannot be true in this state."""


def step(state: State, asked: Input, told: Output) -> State:
    """Return the state after an operation; one that was never answered is taken to have had its effect.

    Raises ``Impossible``.
    """
    do = asked["do"]
    if do in ("append", "read"):
        return _stream(state or (), asked, told)  # type: ignore[arg-type]
    if do == "do":
        return _key(state, asked, told)
    return _order(state, asked, told)


def _stream(state: tuple[int, ...], asked: Input, told: Output) -> tuple[int, ...]:
    if asked["do"] == "read":
        _require(told is not None and tuple(told["ids"]) == state[asked["after"] :])
        return state
    fits = len(state) == asked["expected"]
    if told is not None and told["said"] == "conflict":
        _require(not fits)
        return state
    _require(fits)
    after = (*state, *asked["ids"])
    _require(told is None or told["version"] == len(after))
    return after


def _key(state: State, asked: Input, told: Output) -> State:
    (own,) = asked["ids"]
    if told is not None and told["said"] == "known":
        _require(state is not None and [state] == told["ids"])
        return state
    _require(state is None)
    return None if told is not None and told["said"] == "conflict" else own


def _order(state: State, asked: Input, told: Output) -> State:
    _require(told is not None)
    assert told is not None
    if asked["do"] == "start":
        _require(state is None)
        return int(told["head"])
    if not isinstance(state, int):
        raise Impossible
    if asked["do"] == "advance":
        after = state + len(told["positions"])
        _require(told["positions"] == list(range(state + 1, after + 1)))
        return after
    if asked["do"] == "head":
        _require(told["head"] == state)
    else:
        first, limit = asked["from"], asked["limit"]
        _require(told["positions"] == list(range(first, min(state, first + limit - 1) + 1)))
    return state


def _require(true: bool) -> None:
    if not true:
        raise Impossible
