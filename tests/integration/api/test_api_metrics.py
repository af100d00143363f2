"""``GET /metrics`` over real stores: what is counted, what is read, what happens while a store is away or hangs."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Readings, page, worker_readings
from api.metrics_server import MetricsServer
from application import metrics
from domain.errors import KeysUnavailable, StoreUnavailable
from projections import health, parking


@contextmanager
def _writing(world):
    connection = psycopg2.connect(world.settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def scraped(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(world):
    answer = world.app.test_client().get("/metrics")
    assert answer.status_code == 200
    return scraped(answer.text)


def test_everything_that_is_exposed_is_declared_with_its_labels_and_meaning(world):
    text = world.app.test_client().get("/metrics").text
    families = list(text_string_to_metric_families(text))

    names = [family.name for family in families]
    assert len(names) == len(set(names))
    for family in families:
        declared = metrics.METRICS.get(family.name) or metrics.METRICS[f"{family.name}_total"]
        assert declared.kind == family.type
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == {label.name for label in declared.labels}
            for label in declared.labels:
                assert sample.labels[label.name] in label.values
    exposed = {*names, *(f"{name}_total" for name in names)}
    # Of a relay only the worker that leads can tell, and whether a view is stuck only where a worker ran.
    assert {n for n in metrics.METRICS if n not in exposed} <= {"casekeeper_relay_lag"}


def test_appends_are_timed_counted_and_refusals_named(world):
    before = scrape(world)
    key = "the-same-key-twice"
    body = {"subject_id": world.registered()[0], "kind": "second_opinion"}
    first = world.people.intake.post("/v1/cases", body, key=key)
    again = world.people.intake.post("/v1/cases", body, key=key)
    other = world.people.intake.post("/v1/cases", {**body, "kind": "care_coordination"}, key=key)
    after = scrape(world)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert grown["casekeeper_append_seconds_count",] >= 3
    assert grown["casekeeper_append_batch_size_count",] >= 1
    assert grown["casekeeper_append_batch_size_sum",] >= grown["casekeeper_append_batch_size_count",]
    assert grown["casekeeper_idempotency_hits_total", "same"] == 1
    assert grown["casekeeper_idempotency_hits_total", "other_body"] == 1
    assert after["casekeeper_log_head",] > before["casekeeper_log_head",]


def test_a_refused_append_is_counted_under_its_class(world, monkeypatch):
    def refuse(_command):
        raise StoreUnavailable("x")

    before = scrape(world).get(("casekeeper_append_refused_total", "StoreUnavailable"), 0.0)
    monkeypatch.setattr(world.log._group_commit, "append", refuse)
    answer = world.people.intake.post("/v1/subjects", {"identity": {"given_name": "Zq7Marker"}, "language": "en",
                                                       "notice": {"policy_version": "1"}})  # fmt: skip

    assert answer.status_code == 503
    assert scrape(world)["casekeeper_append_refused_total", "StoreUnavailable"] == before + 1


def test_parts_parked_streams_requests_and_pools_are_read(world):
    subject, _ = world.registered()
    with world.projector.paused(), _writing(world) as cursor:
        parking.prepare(cursor)
        health.report(cursor, "relay", "retrying", "KafkaUnavailable")
        health.report(cursor, "inbox", "running")
        cursor.execute("UPDATE process_health SET updated_at = now() - interval '1 minute' WHERE part = 'inbox'")
        cursor.execute(
            "INSERT INTO parked_records (view, position, stream_id, value, reason) "
            "VALUES ('worklist', 1, gen_random_uuid(), '', 'x'), ('worklist', 2, gen_random_uuid(), '', 'x')"
        )
    try:
        world.people.person.post(
            f"/v1/subjects/{subject}/requests",
            {"right": "access", "scope": {"categories": None, "case_ids": None}, "channel": "web"},
        )
        deadline = time.monotonic() + 10
        while (found := scrape(world)).get(("casekeeper_open_requests", "later"), 0) < 1:
            assert time.monotonic() < deadline
    finally:
        with _writing(world) as cursor:
            cursor.execute("DELETE FROM process_health")
            cursor.execute("DELETE FROM parked_records")

    assert found["casekeeper_part_state", "relay", "retrying"] == 1
    assert found["casekeeper_part_state", "relay", "running"] == 0
    assert found["casekeeper_part_state", "inbox", "silent"] == 1
    assert found["casekeeper_part_state", "inbox", "running"] == 0
    assert found["casekeeper_parked_streams", "worklist"] == 2
    assert found["casekeeper_parked_streams", "people"] == 0
    assert found["casekeeper_writes_admitted",] == 1
    assert found["casekeeper_view_position", "forget"] > 0
    assert found["casekeeper_pool_connections", "idle", "store"] >= 1
    for resource in ("store", "keys", "views"):
        assert found["casekeeper_available", resource] == 1


def test_a_store_that_is_away_is_said_to_be_and_the_rest_is_told(world, monkeypatch):
    def down(*_args, **_more):
        raise KeysUnavailable("Zq7Marker")

    monkeypatch.setattr(world.service.vault, "health", down)
    text = world.app.test_client().get("/metrics").text
    found = scraped(text)

    assert found["casekeeper_available", "keys"] == 0
    assert found["casekeeper_available", "store"] == 1
    assert "casekeeper_log_head" in text
    assert "Zq7Marker" not in text


def test_a_store_that_hangs_delays_no_scrape_for_long_and_is_not_asked_again_meanwhile(world, monkeypatch):
    monkeypatch.setattr("api.asking.LONGEST_SECONDS", 0.3)
    answered, asked = threading.Event(), []

    def hang():
        asked.append(1)
        answered.wait(20)
        return ()

    readings = Readings({"keys": hang, "store": lambda: (metrics.LOG_HEAD.of((7,)),)}, {})
    started = time.monotonic()
    try:
        texts = [page(readings).decode() for _ in range(3)]
        assert time.monotonic() - started < 3
    finally:
        answered.set()
    assert asked == [1]
    for text in texts:
        assert scraped(text)["casekeeper_available", "keys"] == 0
        assert scraped(text)["casekeeper_log_head",] == 7


def test_two_scrapes_at_once_are_both_answered():
    both = threading.Barrier(2)

    def slow():
        time.sleep(0.2)
        return (metrics.LOG_HEAD.of((7,)),)

    readings = Readings({"store": slow}, {})

    def scrape(_):
        both.wait(10)
        return page(readings).decode()

    with ThreadPoolExecutor(2) as threads:
        for text in threads.map(scrape, range(2)):
            assert scraped(text)["casekeeper_log_head",] == 7


def test_a_worker_answers_for_its_metrics_and_nothing_else(world, monkeypatch):
    head = world.log.head()
    monkeypatch.setattr(metrics.relay_position, "number", head - 3)
    server = MetricsServer("127.0.0.1", 0, lambda: page(worker_readings(world.log)))
    url = f"http://127.0.0.1:{server.port}"
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            found = scraped(answer.read().decode())
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/health/live", timeout=10)
        with pytest.raises(OSError, match="in use"):
            MetricsServer("127.0.0.1", server.port, lambda: b"")
    finally:
        server.close()

    assert found["casekeeper_relay_position",] == head - 3
    assert found["casekeeper_relay_lag",] == 3
    assert found["process_resident_memory_bytes",] > 10_000_000
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/metrics", timeout=10)


def test_no_marker_a_person_left_anywhere_is_in_the_metrics(world):
    """A person whose every text is the marker is registered, read, searched, refused and asked for by its name."""
    marker = "Zq7Marker"
    subject, case = world.registered(given_name=marker, family_name=marker)
    manager, intake = world.people.manager, world.people.intake
    manager.post(f"/v1/cases/{case}/notes", {"text": marker})
    manager.get(f"/v1/cases/{case}", **{"X-Request-Id": marker, "User-Agent": marker})
    manager.get(f"/v1/{marker}?{marker}={marker}")
    intake.post("/v1/subjects", {"identity": {marker: marker}}, key=marker)
    intake.post("/v1/subjects", raw=marker.encode(), content_type=f"text/{marker}")
    world.as_("service", "intake", marker).get("/v1/cases")
    world.app.test_client().open(f"/{marker}", method=marker.upper())
    text = world.app.test_client().get("/metrics").text

    assert marker.lower() not in text.lower()
    assert subject not in text
    assert case not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
