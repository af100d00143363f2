"""Three workers that come and go, asked or killed, under load on the inbox, over HTTP and on the views."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from at_work import failed
from independent_check import faults
from independent_read import read
from load_clients import Caller, Client, Known
from load_copy import RunningCopy, running_copy
from load_journal import Journal
from load_publisher import Publisher
from rebalance_watch import Watch, admitted

from domain.vocabulary import VIEWS
from tests.waiting import until

pytestmark = pytest.mark.faults
ROUNDS = 14
WORKERS = ("worker-1", "worker-2", "worker-3")


@pytest.fixture
def copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path: Path) -> Iterator[RunningCopy]:
    with running_copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path) as made:
        made.add("api", "api")
        for name in WORKERS:
            made.add(name, "worker")
        until(lambda: admitted(made.settings.events_dsn))
        yield made


def test_workers_come_and_go_and_everything_is_done_once(copy: RunningCopy, tmp_path: Path) -> None:
    seed = int(os.environ.get("CASEKEEPER_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    stop, chance = threading.Event(), random.Random(seed)
    port = copy.servers["api"].port
    http, inbox = Journal(tmp_path / "http.jsonl", "http"), Journal(tmp_path / "inbox.jsonl", "inbox")
    client = Client(Caller(copy, [port], http, random.Random(2)), Known(), stop)
    publisher = Publisher(copy, port, inbox, random.Random(3), stop)
    watch = Watch(copy.settings.events_dsn, copy.settings.views_dsn, copy.settings.topic_prefix)
    for thread in (client, publisher, watch):
        thread.start()
    try:
        until(lambda: watch.positions.keys() >= VIEWS and min(watch.positions.values()) > 10)
        for number in range(ROUNDS):
            server = copy.servers[WORKERS[number % len(WORKERS)]]
            if chance.random() < 0.5:
                assert server.stop() == 0
            else:
                server.kill()
                server.bury()
            time.sleep(chance.uniform(0, 1))
            server.start()
            until(server.ready)
            time.sleep(chance.uniform(0, 1.5))
    finally:
        stop.set()
        wrong = failed([client, publisher], 120)
        watch.end()
    assert wrong == []
    until(copy.settled, 60, "the views at the head")
    assert {name: server.stop() for name, server in copy.servers.items()} == dict.fromkeys(copy.servers, 0)
    seen = read(copy.place, [http.path, inbox.path])
    print(
        f"{len(seen.rows)} events, {len(seen.topic)} on the topic, {len(seen.outcomes)} outcomes, {watch.looks} looks"
    )

    assert faults(seen) == []
    assert watch.went_back == []
    assert watch.two_led == []
    assert {part: len(pids) for part, pids in watch.leaders.items() if len(pids) < 3} == {}
    assert {f"view:{view}" for view in VIEWS} | {"relay", "schedule"} == watch.leaders.keys()
    assert min(http.counts["answered"], inbox.counts["answered"]) > 50
