"""The tests' own threads: what one of them fails with fails the test that ends it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from at_work import AtWork, failed
from postgres_clients import Http, Load
from rebalance_watch import Watch, admitted
from test_kafka_outages import writing

from store.log import EventLog
from store.migrate import migrate
from tests.callers import INTAKE_SERVICE
from tests.waiting import until


@contextmanager
def answering(answers: Callable[[int], tuple[int, Any] | None]) -> Iterator[int]:
    """Serve HTTP and give its port; ``answers``: the number of a call → status and body, or none to hang up."""
    calls = iter(range(10**9))

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if (answer := answers(next(calls))) is None:
                self.close_connection = True
                return
            text = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_what_a_thread_fails_with_is_kept_and_one_that_does_not_end_is_named() -> None:
    going = threading.Event()

    def refuse() -> None:
        raise AssertionError("status 500")

    threads = [AtWork("well", lambda: None), AtWork("refused", refuse), AtWork("stuck", going.wait)]
    for thread in threads:
        thread.start()
    said = failed(threads, 0.2)
    going.set()

    assert said == ["refused: AssertionError: status 500", "stuck: has not ended"]
    assert failed(threads, 5) == said[:1]


def test_a_client_that_is_told_what_nobody_is_to_be_told_ends_the_load() -> None:
    with answering(lambda _: (200, {"id": str(uuid4()), "receipt": {}})) as port:
        stage: Any = SimpleNamespace(port=port, token=lambda *_: "x")
        assert Http(stage, INTAKE_SERVICE).call("POST", "/", {}).status == 200
        with pytest.raises(AssertionError, match="register_subject: 200"), Load(stage, clients=1):
            time.sleep(0.2)


def test_a_writer_whose_connection_breaks_after_many_writes_fails_the_block() -> None:
    with answering(lambda n: (201, {"receipt": {"position": n + 1}}) if n < 25 else None) as port:
        http = Http(SimpleNamespace(port=port, token=lambda *_: "x"), INTAKE_SERVICE)  # type: ignore[arg-type]
        copy: Any = SimpleNamespace(call=lambda _who, method, path, body: http.call(method, path, body))
        with pytest.raises(AssertionError, match="RemoteDisconnected"), writing(copy) as writer:
            until(lambda: not writer.is_alive(), 20)


def test_a_watch_that_cannot_look_any_more_says_so(pg_main: str, new_database) -> None:
    """With no looks there is nothing that went back, whatever the views do."""
    watch = Watch(pg_main, new_database(pg_main, "views"), "t.")
    watch.start()
    until(lambda: not watch.is_alive(), 20)
    with pytest.raises(AssertionError, match="UndefinedTable"):
        watch.end()


def test_a_store_takes_writes_only_for_the_server_s_own_incarnation(pg_main: str, new_database) -> None:
    dsn = new_database(pg_main, "admitted")
    migrate(dsn)
    assert not admitted(dsn)
    with EventLog(dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)
    assert admitted(dsn)
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE log_head SET admitted_for = 'an earlier incarnation'")
    connection.close()
    assert not admitted(dsn)
