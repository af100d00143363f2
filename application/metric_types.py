"""The kinds of metric there are, each with a name, a meaning and labels whose values are closed sets.

A value outside its set raises ``ValueError``: so no id, name or other text of somebody's can become a label, whatever
code higher up hands in. Metrics are declared in :mod:`application.metrics` and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

import prometheus_client
from prometheus_client.core import GaugeMetricFamily

prometheus_client.disable_created_metrics()

Kind = Literal["counter", "gauge", "histogram"]
_NAME = re.compile(r"[a-z][a-z0-9_]{2,80}")
OTHER = "other"
"""What stands for a value that is not named in a set which has this word."""
COUNTED = prometheus_client.CollectorRegistry()
"""What this process has counted and measured itself."""


class Label:
    """A label and the only values it can have."""

    def __init__(self, name: str, values: Iterable[str] = ()) -> None:
        self.name = name
        self.values = frozenset(values)

    def known(self, value: str) -> str:
        """Return a value that is in the set, or ``other``."""
        return value if value in self.values else OTHER

    def admit(self, values: Iterable[str]) -> None:
        """Add values that the program's own code names and that are known only once it runs, such as routes."""
        self.values |= frozenset(values)


class Metric:
    """A declared metric. Raises ``ValueError`` for a name that is not one, or is declared already."""

    kind: Kind
    declared: ClassVar[dict[str, Metric]] = {}

    def __init__(self, name: str, meaning: str, *labels: Label) -> None:
        if not _NAME.fullmatch(name) or name in Metric.declared:
            raise ValueError("a metric's name is lower case and declared once")
        if (self.kind == "counter") != name.endswith("_total"):
            raise ValueError("a counter's name, and no other, ends in _total")
        self.name = name
        self.meaning = meaning
        self.labels = labels
        Metric.declared[name] = self

    def check(self, values: tuple[str, ...]) -> None:
        """Raise ``ValueError``, which names the label and never the value, unless every value is of its set."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has {len(self.labels)} labels")
        for label, value in zip(self.labels, values, strict=True):
            if value not in label.values:
                raise ValueError(f"{self.name}: a value outside the closed set of label {label.name}")

    def _names(self) -> list[str]:
        return [label.name for label in self.labels]


class _Kept(Metric):
    """A metric this process keeps itself, one child per combination of label values that occurred."""

    def __init__(self, name: str, meaning: str, *labels: Label, **options: Any) -> None:
        super().__init__(name, meaning, *labels)
        self._children: dict[tuple[str, ...], Any] = {}
        made = prometheus_client.Counter if self.kind == "counter" else prometheus_client.Histogram
        self._family: Any = made(name, meaning, self._names(), registry=COUNTED, **options)

    def _child(self, values: tuple[str, ...]) -> Any:
        child = self._children.get(values)
        if child is None:
            self.check(values)
            child = self._children[values] = self._family.labels(*values) if values else self._family
        return child


class Counter(_Kept):
    """Counts what happened since the process started."""

    kind: Kind = "counter"

    def inc(self, *values: str, by: float = 1) -> None:
        """Count."""
        self._child(values).inc(by)


class Histogram(_Kept):
    """Measures how long or how large things were."""

    kind: Kind = "histogram"

    def __init__(self, name: str, meaning: str, *labels: Label, buckets: Iterable[float]) -> None:
        super().__init__(name, meaning, *labels, buckets=tuple(buckets))

    def observe(self, amount: float, *values: str) -> None:
        """Take one measurement in."""
        self._child(values).observe(amount)


class Reading(Metric):
    """A gauge whose samples come from the moment of a scrape: from a store, or from what an object holds then."""

    kind: Kind = "gauge"

    def of(self, *samples: tuple[float, *tuple[str, ...]]) -> GaugeMetricFamily:
        """Return the samples, each a number followed by its label values."""
        family = GaugeMetricFamily(self.name, self.meaning, labels=self._names())
        for number, *values in samples:
            self.check(tuple(values))
            family.add_metric(values, number)
        return family


class Provided(Metric):
    """A metric that a library keeps; it is declared so that it is known and explained."""

    def __init__(self, kind: Kind, name: str, meaning: str) -> None:
        self.kind = kind
        super().__init__(name, meaning)


class Level:
    """A number that one part of this process keeps for a reading, while it has one."""

    def __init__(self) -> None:
        self.number: float | None = None

    def samples(self) -> Iterator[tuple[float]]:
        """Yield the number, if there is one."""
        if (number := self.number) is not None:
            yield (number,)
