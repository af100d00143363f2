"""Slow and silent clients in numbers, against the real server: everybody else is answered as before."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import ExitStack, closing

import pytest
from api_world import api_process
from raw_http import NEXT, exchange, post

from api.slow_bodies import end_silent_connections
from application.examples import BODIES

PERSON = json.dumps(BODIES["register_subject"]).encode()
SLOW_BODIES = 100
"""Three times as many as requests are worked on at once."""
IDLE = 500


@pytest.fixture(scope="module")
def port(world):
    with api_process(world) as (port, _):
        yield port


@pytest.fixture(scope="module")
def allowed(world):
    return b"Authorization: Bearer " + world.token("service", "intake").encode(), b"Content-Type: application/json"


def connected(stack, port, data=b""):
    raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    raw.sendall(data)
    return raw


def check_others_are_answered(world, port, allowed):
    began = time.monotonic()
    assert exchange(port, NEXT, wait=20).statuses == [200]
    assert exchange(port, post(PERSON, *allowed, b"Content-Length: %d" % len(PERSON)), wait=20).statuses == [201]
    token = world.token("case_manager", "casework").encode()
    read = b"GET /v1/cases?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    assert exchange(port, read, wait=20).statuses == [200]
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("sent", [b"", PERSON[:-1]], ids=["nothing", "all but the last byte"])
def test_bodies_that_stop_half_way_hold_up_nobody_else(world, port, allowed, sent):
    head = post(b"", *allowed, b"Content-Length: %d" % len(PERSON))
    with ExitStack() as stack:
        slow = [connected(stack, port, head + sent) for _ in range(SLOW_BODIES)]
        time.sleep(1)
        check_others_are_answered(world, port, allowed)
        slow[0].sendall(PERSON[len(sent) :])
        assert slow[0].recv(64).startswith(b"HTTP/1.1 201")


def test_idle_connections_hold_up_nobody_else(world, port, allowed):
    with ExitStack() as stack:
        for number in range(IDLE):
            connected(stack, port, (b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")[number % 2])
        check_others_are_answered(world, port, allowed)


def test_a_sender_who_writes_all_before_reading_gets_to_read_that_it_was_too_large(world, port):
    headers = {"Authorization": f"Bearer {world.token('service', 'intake')}", "Content-Type": "application/json"}
    for size in [1024 * 1024 + 1, 2 * 1024 * 1024, 7 * 1024 * 1024] * 5:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", "/v1/subjects", b" " * size, headers)
            answer = connection.getresponse()
            assert answer.status == 413
            assert json.loads(answer.read())["type"] == "urn:casekeeper:problem:body-too-large"


def test_a_sender_without_a_token_gets_to_read_that(port):
    for _ in range(10):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", "/v1/subjects", b" " * (1024 * 1024), {"Content-Type": "application/json"})
            assert connection.getresponse().status == 401


def test_a_body_far_too_large_is_refused_without_being_read(world, port, allowed):
    before = time.monotonic()
    said = exchange(port, post(b" " * 100, *allowed, b"Content-Length: 1000000000000"))

    assert said.statuses == [413]
    assert said.closed
    assert time.monotonic() - before < 5


def test_silent_connections_of_a_port_are_ended_and_no_others():
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        pairs = []
        for server in listening:
            client = stack.enter_context(socket.create_connection(server.getsockname(), timeout=5))
            pairs.append((client, stack.enter_context(server.accept()[0])))
        time.sleep(1.2)
        fresh = stack.enter_context(socket.create_connection(listening[0].getsockname(), timeout=5))
        accepted = stack.enter_context(listening[0].accept()[0])

        assert end_silent_connections(listening[0].getsockname()[1], "127.0.0.1", 1.0) == 1
        assert pairs[0][0].recv(1) == b""
        pairs[1][1].sendall(b"x")
        accepted.sendall(b"y")
        assert (pairs[1][0].recv(1), fresh.recv(1)) == (b"x", b"y")


@pytest.mark.faults
def test_a_head_has_fifteen_seconds_and_a_body_a_minute(world, port, allowed):
    """docs/http-limits.md; the body trickles, one byte a second, and would take twenty minutes."""
    head = post(b"", *allowed, b"Content-Length: %d" % len(PERSON))
    with ExitStack() as stack:
        began = time.monotonic()
        half_head, trickling = connected(stack, port, head[:40]), connected(stack, port, head)
        assert half_head.recv(64) == b""
        assert 10 < time.monotonic() - began < 25
        trickling.settimeout(1)
        ended = None
        for byte in PERSON * 10:
            try:
                trickling.sendall(bytes([byte]))
                answer = trickling.recv(64)
            except TimeoutError:
                continue
            except ConnectionError:
                answer = b""
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
            ended = time.monotonic() - began
            break
        assert ended is not None
        assert 55 < ended < 85
    check_others_are_answered(world, port, allowed)
