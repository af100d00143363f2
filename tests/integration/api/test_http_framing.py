"""Requests shaped to be read in two ways, against the real server: one answer each, never a 5xx, nothing hidden is run.

Shapes after RFC 9112 (sections 2.2, 3.2, 5, 6, 7) and James Kettle, "HTTP Desync Attacks" (2019).
"""

import json

import pytest
from api_world import api_process
from raw_http import NEXT, exchange, post

from application.examples import BODIES

EMPTY_CHUNK = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
PERSON = json.dumps(BODIES["register_subject"]).encode()


def length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


@pytest.fixture(scope="module")
def port(world):
    with api_process(world) as (port, _):
        yield port


@pytest.fixture(scope="module")
def allowed(world):
    """Headers of a caller who may register people."""
    return b"Authorization: Bearer " + world.token("service", "intake").encode(), b"Content-Type: application/json"


IN_DOUBT = {
    "length and chunked": post(EMPTY_CHUNK + NEXT, b"Content-Length: 4", CHUNKED),
    "chunked and length": post(EMPTY_CHUNK + NEXT, CHUNKED, b"Content-Length: 4"),
    "two lengths": post(b"aaaaa" + NEXT, b"Content-Length: 4", b"Content-Length: 5"),
    "list of lengths": post(b"aaaa" + NEXT, b"Content-Length: 4, 4"),
    "signed length": post(b"aaaa" + NEXT, b"Content-Length: +4"),
    "negative length": post(NEXT, b"Content-Length: -1"),
    "hexadecimal length": post(b"aaaa" + NEXT, b"Content-Length: 0x4"),
    "length beyond 64 bits": post(b"aaaa" + NEXT, b"Content-Length: 99999999999999999999999"),
    "unknown coding": post(EMPTY_CHUNK + NEXT, b"Transfer-Encoding: xchunked"),
    "chunked not last": post(EMPTY_CHUNK + NEXT, b"Transfer-Encoding: chunked, identity"),
    "two codings": post(EMPTY_CHUNK + NEXT, CHUNKED, b"Transfer-Encoding: identity"),
    "space before colon": post(EMPTY_CHUNK + NEXT, b"Transfer-Encoding : chunked"),
    "vertical tab before coding": post(EMPTY_CHUNK + NEXT, b"Transfer-Encoding:\x0bchunked"),
    "coding in HTTP/1.0": post(EMPTY_CHUNK + NEXT, CHUNKED, version=b"1.0"),
    "line folded": post(NEXT, b"X-A: 1", b" Content-Length: 200"),
    "space before first header": b"GET /health/live HTTP/1.1\r\n Host: x\r\n\r\n" + NEXT,
    "bare CR": post(NEXT, b"X-A: 1\rContent-Length: 200"),
    "NUL in a value": post(NEXT, b"X-A: a\x00b"),
    "NUL in a name": post(NEXT, b"X\x00A: b"),
    "NUL in the address": b"GET /health/live\x00 HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT,
    "chunk of hexadecimal prefix": post(b"0x4\r\naaaa\r\n" + EMPTY_CHUNK + NEXT, CHUNKED),
    "chunk of negative size": post(b"-4\r\naaaa\r\n" + EMPTY_CHUNK + NEXT, CHUNKED),
    "chunk size beyond 64 bits": post(b"fffffffffffffffff\r\naaaa\r\n" + EMPTY_CHUNK + NEXT, CHUNKED),
    "chunk lines end in LF": post(b"4\naaaa\n0\n\n" + NEXT, CHUNKED),
    "chunk longer than said": post(b"4\r\naaaaXX\r\n" + EMPTY_CHUNK + NEXT, CHUNKED),
    "LF in a chunk extension": post(b"4;a\nb\r\naaaa\r\n" + EMPTY_CHUNK + NEXT, CHUNKED),
    "extension of 40,000 bytes": post(b"4;" + b"x" * 40_000 + b"\r\naaaa\r\n" + EMPTY_CHUNK + NEXT, CHUNKED),
    "2,000 trailers": post(b"0\r\n" + b"X: 1\r\n" * 2000 + b"\r\n" + NEXT, CHUNKED),
    "101 headers": post(NEXT, *[b"X-%d: 1" % n for n in range(101)]),
    "header of 200,000 bytes": post(NEXT, b"X: " + b"a" * 200_000),
    "address of 70,000 bytes": b"GET /health/live?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT,
    "HTTP/0.9": b"GET /health/live\r\n\r\n" + NEXT,
    "HTTP/1.2": b"GET /health/live HTTP/1.2\r\nHost: x\r\n\r\n" + NEXT,
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NEXT,
}


@pytest.mark.parametrize("shape", IN_DOUBT)
def test_where_framing_is_in_doubt_one_answer_at_most_is_given_and_the_connection_closed(world, port, shape):
    before = world.log.head()
    said = exchange(port, IN_DOUBT[shape])

    assert said.closed
    assert len(said.statuses) <= 1
    assert all(400 <= status < 500 for status in said.statuses)
    assert b"live" not in said.received
    assert world.log.head() == before


@pytest.mark.parametrize(
    "headers",
    [
        (CHUNKED,),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"transfer-encoding: CHUNKED",),
    ],
)
def test_a_chunked_body_is_411_and_never_run(world, port, allowed, headers):
    before = world.log.head()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PERSON), PERSON)
    said = exchange(port, post(chunks, *allowed, *headers))

    assert said.statuses == [411]
    assert b"urn:casekeeper:problem:length-required" in said.received
    assert world.log.head() == before


def test_a_body_that_broke_off_is_never_run_though_it_is_json_by_itself(world, port, allowed):
    """The server gives it out as if it had ended there."""
    before = world.log.head()
    said = exchange(port, post(PERSON, *allowed, b"Content-Length: %d" % (len(PERSON) + 1)), half_close=True)

    assert said.closed
    assert said.statuses in ([400], [])
    assert world.log.head() == before


def test_a_chunked_body_that_broke_off_is_never_run(world, port, allowed):
    before = world.log.head()
    said = exchange(port, post(b"%x\r\n%s\r\nzz\r\n" % (len(PERSON), PERSON) + NEXT, *allowed, CHUNKED))

    assert said.closed
    assert said.statuses == [411]
    assert world.log.head() == before


def test_the_same_length_twice_is_one_length(world, port, allowed):
    """RFC 9110, 8.6 allows both; what follows is the next request and nothing else."""
    said = exchange(port, post(PERSON, *allowed, length(PERSON), length(PERSON)) + NEXT)

    assert said.statuses == [201, 200]


@pytest.mark.parametrize(
    "hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a, b\r\n", b"Host:\r\n"], ids=["none", "two", "list", "empty"]
)
def test_a_host_is_said_once(port, hosts):
    said = exchange(port, b"GET /v1/cases HTTP/1.1\r\n" + hosts + b"\r\n")

    assert said.statuses == [400]
    assert b"urn:casekeeper:problem:bad-request" in said.received


def test_http_1_0_needs_no_host(port):
    said = exchange(port, b"GET /health/live HTTP/1.0\r\n\r\n")

    assert said.statuses == [200] or said.received.startswith(b"HTTP/1.0 200")
    assert said.closed


def test_two_authorizations_are_none(world, port, allowed):
    said = exchange(port, post(PERSON, *allowed, allowed[0], length(PERSON)))

    assert said.statuses == [401]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://elsewhere/health/live HTTP/1.1", 200),
        (b"GET elsewhere:80 HTTP/1.1", 303),
        (b"OPTIONS * HTTP/1.1", 404),
        ("GET /health/livé HTTP/1.1".encode(), 404),
        (b"GET /health/live%00 HTTP/1.1", 404),
        (b"GET /%ff%fe HTTP/1.1", 404),
        (b"GET //health/live HTTP/1.1", 200),
        (b"GET /health/../v1/cases HTTP/1.1", 404),
        (b"CONNECT elsewhere:80 HTTP/1.1", 404),
        (b"BREW /health/live HTTP/1.1", 405),
        (b"TRACE /health/live HTTP/1.1", 405),
    ],
)
def test_an_odd_first_line_is_one_request_for_this_server_whatever_it_names(port, line, status):
    said = exchange(port, line + b"\r\nHost: casekeeper\r\n\r\n")

    assert said.statuses == [status]
    assert b"elsewhere" not in said.received


@pytest.mark.parametrize("path", [b"/health/live", b"/v1/cases"])
def test_a_body_nobody_reads_is_not_the_next_request(port, path):
    said = exchange(port, b"GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, len(NEXT)) + NEXT + NEXT)

    assert len(said.statuses) in (1, 2)
    assert said.received.count(b'{"live":true}') == len(said.statuses) - (path == b"/v1/cases")


def test_requests_sent_ahead_are_answered_in_order(port):
    said = exchange(port, NEXT + b"GET /v1/cases HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT)

    assert said.statuses == [200, 401, 200]


def test_who_asks_before_sending_is_told_before_sending(port, allowed):
    """``Expect: 100-continue``: a body that is too large is refused without having been sent."""
    said = exchange(port, post(b"", *allowed, b"Expect: 100-continue", b"Content-Length: 5000000"))
    asked = exchange(port, post(b"", *allowed, b"Expect: 100-continue", length(PERSON)), PERSON)

    assert said.statuses == [413]
    assert asked.received.startswith(b"HTTP/1.1 100 ")
    assert asked.statuses == [201]
