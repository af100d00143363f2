"""The consent strip's cells, from facts to what a case manager sees."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.pages.consent_strip import ORDER, strip

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST, FUTURE = "2026-01-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z"
CLINIC = {
    "kind": "provider",
    "agreements": [{"purposes": ["treatment"], "valid_from": PAST, "valid_until": FUTURE}],
}


def consent(state: str = "granted", **changes: Any) -> dict[str, Any]:
    return {
        "purpose": "treatment",
        "recipient_ids": ["r1"],
        "categories": ["medical"],
        "state": state,
        "valid_until": FUTURE,
        "granted_at": PAST,
        "withdrawn_at": PAST if state == "withdrawn" else None,
        **changes,
    }


def treatment(*consents: dict[str, Any], recipient: dict[str, Any] = CLINIC) -> Any:
    [row] = strip(consents, {"r1": recipient}, {"r1": {"name": "Example Clinic"}}, NOW)
    return row.cells[ORDER.index("treatment")]


def test_a_granted_consent_with_an_agreement_in_force_is_allowed():
    cell = treatment(consent())
    assert (cell.state, cell.categories, cell.until) == ("allowed", ("medical",), FUTURE)


def test_categories_of_all_grants_count_together():
    assert treatment(consent(), consent(categories=["identity"])).categories == ("identity", "medical")


@pytest.mark.parametrize(
    ("state", "shown", "reason"),
    [
        ("asked", "pending", "asked, not answered yet"),
        ("refused", "blocked", "the person refused"),
        ("withdrawn", "blocked", "the person withdrew it"),
        ("expired", "blocked", "it has run out"),
    ],
)
def test_any_other_state_says_why_not(state, shown, reason):
    cell = treatment(consent(state))
    assert (cell.state, cell.reason) == (shown, reason)


def test_a_withdrawal_says_when():
    assert treatment(consent("withdrawn")).since == PAST


def test_a_grant_after_a_withdrawal_counts():
    assert treatment(consent("withdrawn"), consent()).state == "allowed"


@pytest.mark.parametrize(
    "agreements",
    [
        [],
        [{"purposes": ["legal"], "valid_from": PAST, "valid_until": None}],
        [{"purposes": ["treatment"], "valid_from": FUTURE, "valid_until": None}],
        [{"purposes": ["treatment"], "valid_from": PAST, "valid_until": "2026-06-01T00:00:00.000000Z"}],
    ],
)
def test_without_an_agreement_in_force_for_the_purpose_it_is_blocked(agreements):
    cell = treatment(consent(), recipient={"kind": "provider", "agreements": agreements})
    assert (cell.state, cell.reason) == ("blocked", "no agreement in force for this purpose")


def test_purposes_nobody_asked_about_are_none_and_other_recipients_do_not_count():
    rows = strip([consent(recipient_ids=["r1", "r2"])], {"r1": CLINIC}, {}, NOW)
    assert [row.recipient_id for row in rows] == ["r1", "r2"]
    assert [cell.state for cell in rows[0].cells] == ["allowed", "none", "none"]
    assert rows[1].cells[0].state == "blocked"


def test_nothing_recorded_is_an_empty_strip():
    assert strip([], {}, {}, NOW) == []
