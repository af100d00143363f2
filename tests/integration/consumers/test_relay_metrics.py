"""What a worker tells of its relay where no broker acknowledges anything: enough for the alert to fire."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from log_copy import LogCopy
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Readings, page, worker_readings
from application import metrics
from consumers.leadership import Leadership
from domain.errors import StoreUnavailable
from tests.waiting import until

ALERTS = Path(__file__).resolve().parents[3] / "ops" / "prometheus" / "alerts.yml"
LAG, ACKNOWLEDGED = "casekeeper_relay_lag", "casekeeper_relay_acknowledged_timestamp_seconds"
EVENTS = 20


@pytest.fixture
def readings(log_copy: LogCopy, monkeypatch: pytest.MonkeyPatch) -> Readings:
    """The page of a worker that has just started, whose store has events."""
    monkeypatch.setattr(metrics.relay_position, "number", None)
    monkeypatch.setattr(metrics.relay_acknowledged, "number", None)
    log_copy.admit()
    log_copy.append()
    return worker_readings(log_copy.log)


def scraped(readings: Readings) -> dict[str, float]:
    """Return the series of the page that have no labels."""
    families = text_string_to_metric_families(page(readings).decode())
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def behind(series: dict[str, float], at: float) -> bool:
    """Return whether the rule is true at a moment of a single worker, whose series are these."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    [expression] = [rule["expr"] for rule in rules if rule["alert"] == "CasekeeperRelayBehind"]
    filled = re.sub(r"(?:min|max)\(last_over_time\((\w+)\[1m\]\)\)", lambda used: repr(series[used[1]]), expression)
    return bool(eval(filled, {"__builtins__": {}}, {"time": lambda: at}))


def unreachable(copy: LogCopy) -> LogCopy:
    copy.settings = replace(copy.settings, kafka="127.0.0.1:9")
    return copy


def failures() -> float:
    return sum(
        sample.value
        for family in metrics.PART_FAILURES._family.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["part"] == "relay"
    )


def test_a_worker_that_never_reached_a_broker_is_behind_after_a_minute(log_copy: LogCopy, readings: Readings) -> None:
    before, started = failures(), time.time()
    with unreachable(log_copy).relaying():
        until(lambda: failures() >= before + 1)
        first = scraped(readings)
        until(lambda: failures() >= before + 3)
        later = scraped(readings)

    assert first[LAG] == later[LAG] == EVENTS
    assert started <= first[ACKNOWLEDGED] == later[ACKNOWLEDGED] <= started + 5
    assert not behind(later, first[ACKNOWLEDGED] + 60)
    assert behind(later, first[ACKNOWLEDGED] + 61)


def test_the_time_goes_on_where_workers_take_turns(log_copy: LogCopy, readings: Readings) -> None:
    """Each that fails lets another try, which is told as it is told to all who wait: by silence."""
    name = f"{log_copy.settings.topic_prefix}relay"
    before = failures()
    with unreachable(log_copy).relaying() as part:
        until(lambda: failures() >= before + 1)
        first = scraped(readings)
        with Leadership(log_copy.settings.events_dsn, name, StoreUnavailable) as other:
            until(other.acquire)
            until(lambda: part.said.state == "waiting")
            meanwhile = scraped(readings)
        until(lambda: part.said.state == "retrying")
        again = scraped(readings)

    assert LAG not in meanwhile
    assert ACKNOWLEDGED not in meanwhile
    assert (again[LAG], again[ACKNOWLEDGED]) == (first[LAG], first[ACKNOWLEDGED])


def test_a_worker_whose_events_are_acknowledged_is_not_behind(log_copy: LogCopy, readings: Readings) -> None:
    with log_copy.relaying():
        until(lambda: metrics.relay_position.number == EVENTS)
        found = scraped(readings)

    assert found[LAG] == 0
    assert not behind(found, found[ACKNOWLEDGED] + 3_600)
