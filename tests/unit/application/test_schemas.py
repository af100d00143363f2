"""Bodies: what is taken, and what is refused with the field named and nothing echoed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.catalogue import OPERATIONS
from application.examples import BODIES
from application.schemas.loading import load
from domain.errors import InvalidInput

MARKER = "mkneverechoed"


def problems(operation: str, body: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        load(OPERATIONS[operation].schema, body)
    assert MARKER not in str(refusal.value)
    return {p.field: p.problem for p in refusal.value.problems}


def changed(operation: str, path: str, value: Any) -> dict[str, Any]:
    def put(node: Any, keys: list[str]) -> Any:
        if not keys:
            return value
        return {**node, keys[0]: put(node.get(keys[0], {}), keys[1:])}

    return put(dict(BODIES[operation]), path.split("."))


@pytest.mark.parametrize("operation", sorted(BODIES))
def test_every_example_is_taken(operation: str) -> None:
    assert load(OPERATIONS[operation].schema, dict(BODIES[operation]))


@pytest.mark.parametrize(
    ("operation", "path", "value"),
    [
        ("register_subject", "identity.given_name", MARKER + "\x00"),
        ("register_subject", "identity.given_name", MARKER + "\ud800"),
        ("register_subject", "identity.given_name", MARKER + "\x9b"),
        ("register_subject", "identity.given_name", MARKER + "\u202e"),
        ("register_subject", "identity.given_name", "\u200b"),
        ("register_subject", "identity.family_name", MARKER * 20),
        ("register_subject", "identity.phone", "4111111111111111"),
        ("register_subject", "identity.birth_date", MARKER),
        ("register_subject", "identity.birth_date", "2999-01-01"),
        ("register_subject", "identity.birth_date", "2023-02-30"),
        ("register_subject", "identity.email", MARKER),
        ("register_subject", "identity.phone", MARKER),
        ("register_subject", "language", MARKER),
        ("register_subject", "time_zone", MARKER),
        ("register_subject", "notice.policy_version", MARKER),
        ("open_case", "subject_id", MARKER),
        ("open_case", "subject_id", "0b9f8f0e5c0d4b8e9d530f3c0a3a1c11----"),
        ("open_case", "subject_id", "\uff10b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"),
        ("add_task", "due", "0001-01-01"),
        ("add_task", "due", "9999-12-31T23:59:59-12:00"),
        ("receive_request", "scope.categories", []),
        ("receive_request", "scope.case_ids", []),
        ("open_case", "kind", MARKER),
        ("submit_intake", "form_version", "1"),
        ("submit_intake", "form_version", 2),
        ("submit_intake", "answers.reason", 7),
        ("submit_intake", "answers.reason", ""),
        ("submit_intake", "answers.medical_history", [{"condition": "x"}] * 501),
        ("grant_consent", "categories", []),
        ("grant_consent", "categories", ["identity", "identity"]),
        ("grant_consent", "recipient_ids", MARKER),
        ("grant_consent", "valid_until", "2030-01-01T00:00:00"),
        ("register_agreement", "valid_until", "2025-01-01"),
        ("request_disclosure", "basis.type", MARKER),
        ("receive_request", "right", MARKER),
        ("verify_requester", "outcome", None),
    ],
)
def test_a_bad_value_is_refused_at_its_field(operation: str, path: str, value: Any) -> None:
    assert path in problems(operation, changed(operation, path, value))


def test_an_unknown_field_is_named_when_its_name_is_plain() -> None:
    assert problems("open_case", {**BODIES["open_case"], "extra": 1}) == {"extra": "unknown field"}
    assert problems("open_case", {**BODIES["open_case"], f"{MARKER} Jane": 1}) == {"(unnamed)": "unknown field"}


def test_a_missing_field_is_named() -> None:
    assert set(problems("open_case", {})) == {"subject_id", "kind"}


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    assert problems("open_case", body) == {"": "the body must be an object"}


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1111",
        "card 5500-0055-5555-5559 please",
        "4012888888881881",
        "4111.1111.1111.1111",
        "4111  1111\u00a01111/1111",
        "\uff14" + "\uff11" * 15,
        "1 4111111111111111",
        "2223003122003222",
        "3782 822463 10005",
        "CVV code 123",
        "cvv number is 123",
        "CSC 123",
        "CVV: 123",
        "my cvc is 9876",
        "security code 123",
    ],
)
def test_card_data_is_refused_in_free_text(text: str) -> None:
    """PCI DSS 3.3.1; the numbers are the card brands' published test numbers."""
    assert "never stored" in problems("add_note", {"text": text})["text"]


@pytest.mark.parametrize("text", ["call 4111 1111 1111 1112", "record 1234567890123456", "blood pressure 120/80"])
def test_other_numbers_are_taken(text: str) -> None:
    assert load(OPERATIONS["add_note"].schema, {"text": text}) == {"text": text}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from(sorted(OPERATIONS)),
)
def test_any_json_is_taken_or_refused_and_nothing_else(body: Any, operation: str) -> None:
    try:
        taken = load(OPERATIONS[operation].schema, body)
    except InvalidInput as refusal:
        taken = {"refused": refusal.problems}
    assert isinstance(taken, dict)


def test_of_many_things_wrong_the_first_are_told() -> None:
    found = problems("grant_consent", {**BODIES["grant_consent"], "categories": [0] * 100_000})
    assert found == {"categories": "must have 1 to 6 items"}

    with pytest.raises(InvalidInput) as refusal:
        load(OPERATIONS["grant_consent"].schema, {f"unknown_{n}": MARKER for n in range(10_000)})
    assert len(refusal.value.problems) == 20
