"""Figures: what each one is, declared before it is measured, and medians of alternating rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

ROUNDS = 5
Group = Literal["main", "full"]


@dataclass(frozen=True)
class Figure:
    """A figure to measure: ours beside a peer's, both in ``unit``.

    ``goal``: what ours / peer must reach, or with ``at_most`` must not exceed; ``None``: for information.
    ``group``: ``main`` is measured by ``make bench``, ``full`` by ``make bench-full`` only. ``note``: what the peer is.
    """

    name: str
    unit: str
    goal: float | None = None
    at_most: bool = False
    group: Group = "main"
    note: str = ""

    def result(self, ours: float, peer: float | None = None) -> Result:
        """Return the measured figure. A limit stands in for the peer where there is none: ``result(p99, limit)``."""
        return Result(self, ours, peer)

    def skipped(self, why: str) -> Result:
        """Return the figure unmeasured, with the reason that is shown instead."""
        return Result(self, None, None, why)

    def alternate(self, ours: Callable[[], float], peer: Callable[[], float], rounds: int = ROUNDS) -> Result:
        """Run both in turns, so that what else the machine does meets both, and keep the medians."""
        pairs = [(ours(), peer()) for _ in range(rounds)]
        return Result(self, statistics.median(o for o, _ in pairs), statistics.median(p for _, p in pairs))


@dataclass(frozen=True)
class Result:
    """A figure as measured; ``ours`` is ``None`` when it was skipped, ``peer`` when there is none."""

    figure: Figure
    ours: float | None
    peer: float | None
    skipped: str = ""

    @property
    def ratio(self) -> float | None:
        """Return ours over the peer's."""
        return self.ours / self.peer if self.ours is not None and self.peer else None

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met, ``None`` where there is none to meet. Skipped with a goal: not met."""
        if self.figure.goal is None:
            return None
        if self.ratio is None:
            return False
        return self.ratio <= self.figure.goal if self.figure.at_most else self.ratio >= self.figure.goal

    def to_json(self) -> dict[str, Any]:
        """Return the form written to ``BENCH_JSON``."""
        figure = self.figure
        return {
            "name": figure.name,
            "ours": self.ours,
            "peer": self.peer,
            "unit": figure.unit,
            "ratio": self.ratio,
            "goal": figure.goal,
            "met": self.met,
            "at_most": figure.at_most,
            "group": figure.group,
            "note": self.skipped or figure.note,
        }


@dataclass(frozen=True)
class Run:
    """One run of the benchmarks: a folder for its servers, which figures are wanted, and rounds of each.

    ``words``: parts of the names wanted, whatever their group; none: by group.
    """

    folder: Path
    full: bool = False
    rounds: int = ROUNDS
    words: tuple[str, ...] = ()

    def wants(self, figure: Figure) -> bool:
        """Return whether this run measures a figure."""
        if self.words:
            return any(word in figure.name for word in self.words)
        return self.full or figure.group == "main"


def p99(samples: Iterable[float]) -> float:
    """Return the sample that 99 in a hundred do not exceed."""
    ordered = sorted(samples)
    return ordered[len(ordered) * 99 // 100 - 1]


class Bench(Protocol):
    """A module of ``bench``: the figures it declares, and a function that measures those the run wants."""

    FIGURES: tuple[Figure, ...]

    def measure(self, run: Run) -> Iterator[Result]:
        """Yield a result for each wanted figure, as soon as it is known."""
