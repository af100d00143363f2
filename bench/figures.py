"""One measured figure, and the median of alternating runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """Ours beside a peer's, both in ``unit`` (more is better); met when ours / peer reaches ``goal``."""

    name: str
    ours: float
    peer: float
    unit: str
    goal: float

    @property
    def ratio(self) -> float:
        """Return ours over the peer's."""
        return self.ours / self.peer

    def to_json(self) -> dict[str, Any]:
        """Return the form written to ``BENCH_JSON``."""
        return {**asdict(self), "ratio": self.ratio, "met": self.ratio >= self.goal}


def measure(
    name: str, ours: Callable[[], float], peer: Callable[[], float], *, unit: str, goal: float, rounds: int
) -> Figure:
    """Run both in turns, so that what else the machine does meets both, and compare the medians."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return Figure(name, statistics.median(o for o, _ in pairs), statistics.median(p for _, p in pairs), unit, goal)
