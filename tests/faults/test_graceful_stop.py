"""SIGTERM to the genuine api and worker while they are at work: what is in flight is finished or given back."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest
from at_work import AtWork, failed
from kafka_brokers import FaultyBroker
from kafka_copies import assert_identical
from kafka_stack import Stack, stack

from casekeeper_client import Accepted, Client
from ops.ports import answers
from tests.callers import INTAKE_SERVICE
from tests.e2e.copy_of_service import CASEKEEPER, Reply
from tests.e2e.journey import Markers, subject_body
from tests.waiting import until

pytestmark = pytest.mark.faults

WRITERS = 12
MESSAGES = 100
EVENTS_EACH = 2
"""A person who is registered, and the notice they were served."""


@pytest.fixture(scope="module")
def copy(broker: FaultyBroker, pg_main: str, pg_keys: str, new_database, tmp_path_factory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("graceful") / "home"
    with stack(home, pg_main, pg_keys, new_database, broker.address) as made:
        made.serve()
        until(made.well, 150, "the copy")
        assert register(made).status == 201
        yield made


def register(copy: Stack) -> Reply:
    return copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers()))


def lines(copy: Stack, process: str) -> list[dict]:
    text = (copy.home / f"{process}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@contextmanager
def held_commits(copy: Stack) -> Iterator[None]:
    """Keep every append waiting for the head row during the block."""
    connection = psycopg2.connect(copy.dsns["EVENTS"])
    connection.cursor().execute("SELECT FROM log_head FOR UPDATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def waiting_appends(copy: Stack) -> int:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'casekeeper append' AND wait_event_type = 'Lock'"
    )
    return int(copy.sql("EVENTS", query)[0][0])


def test_an_api_that_is_told_to_stop_answers_what_it_has_taken_and_refuses_the_rest(copy: Stack) -> None:
    api, port = copy.processes["api"], int(copy.url.rpartition(":")[2])
    before = copy.sql("EVENTS", "SELECT position FROM log_head")[0][0]
    with ThreadPoolExecutor(WRITERS) as threads:
        with held_commits(copy):
            under_way: list[Future[Reply]] = [threads.submit(register, copy) for _ in range(WRITERS)]
            until(lambda: waiting_appends(copy) == 1, 20, "an append that waits")
            time.sleep(1.0)
            api.send_signal(signal.SIGTERM)
            until(lambda: not answers(port), 10, "the API refusing connections")
            assert api.poll() is None, "it ended with requests in its hands"
            assert [one for one in under_way if one.done()] == []
        replies = [one.result(timeout=20) for one in under_way]
        assert api.wait(20) == 0

    assert [reply.status for reply in replies] == [201] * WRITERS
    stored = copy.sql("EVENTS", "SELECT event_id::text FROM events WHERE position > %s", before)
    assert {event_id for (event_id,) in stored} == {
        event_id for reply in replies for event_id in reply.body["receipt"]["event_ids"]
    }
    answered = [line for line in lines(copy, "api") if line["event"] == "request" and line["status"] == 201]
    assert {line["position"] for line in answered} >= {reply.body["receipt"]["position"] for reply in replies}
    copy.processes.pop("api")
    copy.spawn("api", CASEKEEPER, "api", CASEKEEPER_PORT=str(port))
    until(copy.well, 60, "the copy")


def test_a_worker_that_is_told_to_stop_gives_back_what_it_holds(copy: Stack) -> None:
    """Twice under load, each time replaced by a new one, which has its turn at once: nothing is lost or done twice."""
    registered = json.loads(copy.run("actors", "add", "--service", "web-forms", "--json").stdout)
    until(copy.well, 60, "the copy")
    client = Client(copy.kafka, f"{copy.url}/v1/inbox-key", registered["publisher_id"], registered["private_key"])
    sent: list = []
    writes: list[int] = []
    ending = threading.Event()

    def publish() -> None:
        while not ending.is_set() and len(sent) < MESSAGES:
            sent.append(client.publish("register_subject", subject_body(Markers())))
            time.sleep(0.02)

    def write() -> None:
        while not ending.wait(0.05):
            reply = register(copy)
            assert reply.status == 201, reply
            writes.append(reply.body["receipt"]["position"])

    threads = [AtWork("publish", publish), AtWork("write", write)]
    for thread in threads:
        thread.start()
    took: list[float] = []
    try:
        for number in (1, 2):
            until(lambda many=number: len(sent) > 30 * many and len(writes) > 5 * many, 40, "load")
            worker = copy.processes.pop("worker")
            began = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) == 0
            took.append(time.monotonic() - began)
            assert copy.leaders() == {}, "a lock is held by nobody's process"
            taken = _handled(copy)
            copy.worker("worker")
            until(lambda taken=taken: _handled(copy) > taken, 30, "the next worker taking messages")
    finally:
        ending.set()
        wrong = failed(threads, 30)
    assert wrong == []
    outcomes = [client.wait_for_outcome(message, timeout=60) for message in sent]
    client.close()
    until(copy.well, 60, "the copy")

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    ids = [event_id for outcome in outcomes for event_id in outcome.answer["receipt"]["event_ids"]]
    assert len(ids) == len(set(ids)) == EVENTS_EACH * len(sent)
    known = {row[0] for row in copy.sql("EVENTS", "SELECT event_id::text FROM events")}
    assert set(ids) <= known
    by_inbox = copy.sql(
        "EVENTS", "SELECT count(*) FROM events WHERE convert_from(record, 'UTF8')::jsonb ->> 'producer' = 'inbox'"
    )
    assert by_inbox == [(EVENTS_EACH * len(sent),)]
    assert_identical(copy.kafka, copy.dsns["EVENTS"])
    stopped = [line for line in lines(copy, "worker") if line["event"] == "worker stopped"]
    assert [line["count"] for line in stopped] == [0, 0], "parts that did not end in time"
    assert max(took) < 8


def _handled(copy: Stack) -> int:
    return len([line for line in lines(copy, "worker") if line["event"] == "message handled"])
