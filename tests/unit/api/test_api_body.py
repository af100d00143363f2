"""Strict reading of JSON bodies: each refusal names the place and never shows what stood there."""

import json

import pytest

from api.body import MAX_DEPTH
from application import strict_json
from domain.errors import InvalidInput

MARK = "Zq7Marker"


def parse_object(raw: bytes) -> dict:
    return strict_json.parse_object(raw, MAX_DEPTH)


def refused(raw: bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_object(raw)
    assert MARK not in str(caught.value)
    return caught.value


def places(error: InvalidInput) -> list[str]:
    return [p.field for p in error.problems]


def test_an_ordinary_body_is_read_unchanged():
    body = {"identity": {"given_name": "Zoë 😀", "lines": ["a", 1, 1.5, None, True]}, "n": -0.0}
    assert parse_object(json.dumps(body).encode()) == body


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe{\x00}\x00", "body"),
        (b"\xef\xbb\xbf{}", "body"),
        (b'{"a": 1} trailing Zq7Marker', "body"),
        (b'{"a": "Zq7Marker\x01"}', "body"),
        (b'{"a": {"b": [1, NaN]}}', "a.b.1"),
        (b'{"a": Infinity}', "a"),
        (b'{"a": -Infinity}', "a"),
        (b'{"a": 1e999}', "a"),
        (b'{"a": {"b": "Zq7Marker", "b": "Zq7Marker"}}', "a.b"),
        (b'{"a": ' + b"9" * 5000 + b"}", "body"),
        (b"[" * 200_000, "body"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), ".".join(["a"] * MAX_DEPTH)),
    ],
)
def test_what_is_not_json_as_read_here_is_malformed(raw, place):
    error = refused(raw)
    assert error.slug == "malformed-json"
    assert places(error) == [place]


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"a": {"b": "Zq7Marker\\u0000"}}', "a.b"),
        (b'{"a": ["x", "\\ud800 Zq7Marker"]}', "a.1"),
        (b'{"a": {"Zq7\\u0000Marker": 1}}', "a"),
        (b"[]", "body"),
        (b'"Zq7Marker"', "body"),
        (b"null", "body"),
        (b"7", "body"),
    ],
)
def test_json_that_cannot_be_stored_is_invalid_input(raw, place):
    error = refused(raw)
    assert error.slug == "invalid-input"
    assert places(error) == [place]


def test_depth_up_to_the_limit_is_read():
    raw = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert "a" in parse_object(raw)


def test_a_paired_surrogate_escape_is_one_character():
    assert parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


def test_every_repeated_name_is_reported_without_quadratic_work():
    names = ",".join(f'"n{i}": 1' for i in range(60_000))
    assert places(refused(b'{"x": 1, "x": 2,' + names.encode() + b"}")) == ["x"]


def test_the_depth_of_a_value_is_counted_with_itself():
    value = strict_json.parse_object(b'{"a": [[1], {"b": 2}]}', 3)
    assert strict_json.deeper_than(value, 2)
    assert not strict_json.deeper_than(value, 3)
    assert not strict_json.deeper_than("text", 0)


def test_a_reader_may_let_nul_pass_but_not_half_a_character():
    assert strict_json.parse_object(b'{"a": "\\u0000"}', 3, strict_json.UNPAIRED) == {"a": "\x00"}
    with pytest.raises(InvalidInput):
        strict_json.parse_object(b'{"a": "\\udfff"}', 3, strict_json.UNPAIRED)
