"""What a stranger puts on the outcomes topic is passed over by whoever waits there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from casekeeper_client.outcomes import Accepted, Rejected, _outcome

ME, ID = "0b9a4f3e-5a0c-4f6e-9f43-7a4de3f7a001", "5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10"
ACCEPTED = {"message_id": ID, "publisher_id": ME, "status": "accepted", "answer": {"receipt": {"position": 3}}}
PROBLEM = {"type": "urn:casekeeper:problem:not-found", "title": "There is no such thing", "status": 404}
REJECTED = {"message_id": ID, "publisher_id": ME, "status": "rejected", "problem": PROBLEM}


def read(value: Any) -> Accepted | Rejected | None:
    return _outcome(json.dumps(value).encode(), ME)


def test_outcomes_are_read() -> None:
    assert read(ACCEPTED) == Accepted(ID, ACCEPTED["answer"])
    assert read(REJECTED) == Rejected(ID, PROBLEM)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"5",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        json.dumps({**ACCEPTED, "publisher_id": ID}).encode(),
        json.dumps({**ACCEPTED, "publisher_id": [ME]}).encode(),
        json.dumps({**ACCEPTED, "status": "perhaps"}).encode(),
        json.dumps({**ACCEPTED, "status": ["accepted"]}).encode(),
        json.dumps({**ACCEPTED, "answer": None}).encode(),
        json.dumps({**ACCEPTED, "answer": {}}).encode(),
        json.dumps({**ACCEPTED, "answer": {"receipt": {"position": "3"}}}).encode(),
        json.dumps({**REJECTED, "problem": "no"}).encode(),
        json.dumps({**REJECTED, "problem": {"type": 5, "title": "x"}}).encode(),
    ],
)
def test_anything_else_is_none(value: bytes | None) -> None:
    assert _outcome(value, ME) is None


def test_a_message_id_of_another_kind_matches_nothing_and_ends_nothing() -> None:
    found = read({**ACCEPTED, "message_id": [ID]})

    assert found is None or found.message_id != ID


@examples(max_examples=300, deadline=None)
@given(st.binary(max_size=3), st.floats(0, 1), st.integers(0, 30), st.sampled_from([ACCEPTED, REJECTED]))
def test_any_bytes_are_an_outcome_with_its_parts_or_none(
    put: bytes, where: float, taken: int, genuine: dict[str, Any]
) -> None:
    text = json.dumps(genuine).encode()
    at = int(where * len(text))
    found = _outcome(text[:at] + put + text[at + taken :], ME)

    if isinstance(found, Accepted):
        assert isinstance(found.position, int)
    elif isinstance(found, Rejected):
        assert (isinstance(found.type, str), isinstance(found.title, str)) == (True, True)
