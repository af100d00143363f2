"""The registry of metrics: closed sets of label values, and nothing declared twice."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from application import metric_types, metrics
from application.metric_types import Counter, Label, Metric, Reading
from domain.errors import CasekeeperError, StoreUnavailable


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test declare metrics of its own."""
    monkeypatch.setattr(Metric, "declared", {})
    monkeypatch.setattr(metric_types, "COUNTED", CollectorRegistry())


def samples(metric: Counter) -> dict[tuple[str, ...], float]:
    return {tuple(s.labels.values()): s.value for f in metric._family.collect() for s in f.samples}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("GET", "unmatched", "Zq7Marker"), "closed set of label status"),
        (("Zq7Marker", "unmatched", "200"), "closed set of label method"),
        (("GET", "/v1/subjects/8e7d5c2e-8f0e-4f0e-9a39-0d1f0b5a7c11", "200"), "closed set of label route"),
        (("GET", "unmatched"), "has 3 labels"),
    ],
)
def test_a_value_outside_its_closed_set_raises_and_is_not_repeated(values: tuple[str, ...], said: str) -> None:
    before = samples(metrics.HTTP_REQUESTS)
    with pytest.raises(ValueError, match=said) as caught:
        metrics.HTTP_REQUESTS.inc(*values)

    assert "Zq7Marker" not in str(caught.value)
    assert "8e7d5c2e" not in str(caught.value)
    assert samples(metrics.HTTP_REQUESTS) == before


def test_a_reading_refuses_a_value_outside_its_set_too() -> None:
    with pytest.raises(ValueError, match="closed set of label view"):
        metrics.VIEW_LAG.of((3, "worklist"), (4, "Ann Example"))


def test_a_counter_counts_by_its_labels(declared: None) -> None:
    counter = Counter("test_things_total", "Things", Label("kind", ("good", "bad")))
    counter.inc("good")
    counter.inc("good", by=2)
    counter.inc("bad")

    assert samples(counter) == {("good",): 3, ("bad",): 1}


def test_names_are_declared_once_and_say_what_they_are(declared: None) -> None:
    Reading("test_level", "Level")
    with pytest.raises(ValueError, match="declared once"):
        Reading("test_level", "Level")
    with pytest.raises(ValueError, match="_total"):
        Counter("test_count", "Count")
    with pytest.raises(ValueError, match="_total"):
        Reading("test_level_total", "Level")


def test_every_closed_set_is_small_and_holds_words_only() -> None:
    for metric in metrics.METRICS.values():
        for label in metric.labels:
            assert 1 <= len(label.values) <= 150
            if label is not metrics.ROUTE:
                assert all(value.replace("_", "").isalnum() for value in label.values)


def test_an_error_s_class_is_named_only_if_it_is_ours() -> None:
    class Careless(Exception):
        pass

    class Late(CasekeeperError):
        pass

    assert metrics.error_class(StoreUnavailable("x")) == "StoreUnavailable"
    assert metrics.error_class(Careless("x")) == metrics.error_class(Late("x")) == "other"
