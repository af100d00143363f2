"""Health: whether store, keys and views can be used, how far each view is, and that a store that hangs holds nobody."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest

from domain.errors import KeysUnavailable, StoreUnavailable, ViewsUnavailable
from projections import health


def test_live_and_ready(world):
    client = world.app.test_client()
    ready = client.get("/health/ready")

    assert client.get("/health/live").json == {"live": True}
    assert (ready.status_code, ready.json["ready"], ready.json["degraded"]) == (200, True, [])
    assert {view["name"] for view in ready.json["views"]} == {
        "people",
        "worklist",
        "case_page",
        "consents",
        "disclosures",
        "recipients",
        "requests",
        "search_index",
        "forget",
    }
    assert all(view["lag"] >= 0 for view in ready.json["views"])
    assert {view["state"] for view in ready.json["views"]} <= {"current", "behind"}
    assert {(view["parked"], view["discarded"]) for view in ready.json["views"]} == {(0, 0)}


def test_ready_names_each_part_that_is_away(world, monkeypatch):
    def down(error):
        def call(*_args, **_more):
            raise error

        return call

    client = world.app.test_client()
    monkeypatch.setattr(world.service.vault, "health", down(KeysUnavailable("x")))
    keys = client.get("/health/ready")
    monkeypatch.setattr(world.log, "admission", down(StoreUnavailable("x")))
    store = client.get("/health/ready")
    monkeypatch.setattr(world.views, "cursor", down(ViewsUnavailable("x")))
    all_three = client.get("/health/ready")

    assert (keys.status_code, keys.json["ready"], keys.json["degraded"]) == (503, False, ["keys"])
    assert {(view["lag"], view["state"]) for view in store.json["views"]} == {(None, "unknown")}
    assert (all_three.status_code, all_three.json["degraded"]) == (503, ["keys", "store", "views"])


def test_ready_names_a_part_of_the_workers_that_is_not_well(world):
    with world.projector.paused(), _writing(world) as cursor:
        health.report(cursor, "relay", "retrying", "KafkaUnavailable")
    try:
        answer = world.app.test_client().get("/health/ready")
    finally:
        with _writing(world) as cursor:
            cursor.execute("DELETE FROM process_health")

    assert (answer.status_code, answer.json["ready"], answer.json["degraded"]) == (200, True, ["relay"])


@contextmanager
def _writing(world):
    """Give a cursor that writes to the views' database."""
    with closing(psycopg2.connect(world.settings.views_dsn)) as connection, connection, connection.cursor() as cursor:
        yield cursor


@pytest.mark.parametrize("name", ["store", "keys", "views"])
def test_a_store_that_hangs_is_named_in_time_and_asked_once_however_many_ask(world, monkeypatch, name):
    monkeypatch.setattr("api.asking.LONGEST_SECONDS", 0.5)
    asked, ended = [], threading.Event()

    def hang(*_args):
        asked.append(name)
        ended.wait(30)
        raise ViewsUnavailable("x")

    hanging = {
        "store": (world.log, "admission"),
        "keys": (world.service.vault, "health"),
        "views": (world.views, "cursor"),
    }
    monkeypatch.setattr(*hanging[name], hang)
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(30) as threads:
            answers = list(threads.map(lambda _: world.app.test_client().get("/health/ready"), range(60)))
        took = time.monotonic() - began
    finally:
        ended.set()

    assert {(answer.status_code, *answer.json["reasons"].items()) for answer in answers} == {(503, (name, "no answer"))}
    assert asked == [name]
    assert took < 10
