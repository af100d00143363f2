"""An outcome says no as HTTP does: the same type, status, title and detail for the same error."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from api.problems import describe
from consumers.problems import problem
from domain import errors, rules

MESSAGE = UUID("0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11")
REFUSALS = [
    errors.InvalidInput([errors.FieldProblem("identity.birth_date", "must be a date")]),
    errors.NotFound("case", uuid4()),
    errors.IdempotencyKeyReused("the idempotency key was used before with another body"),
    errors.EventTooLarge(600_000, 524_288),
    errors.Fenced([uuid4()]),
    errors.NotAllowed("not-allowed", "this role has not the right to do this for this purpose of use"),
    errors.Tampered("a sealed value was changed"),
    errors.KeyNeverExisted(uuid4()),
    ValueError("text that nobody may see"),
    *(errors.RuleRefused(rule) for rule in rules.ALL),
]


@pytest.mark.parametrize(
    "error", REFUSALS, ids=lambda error: getattr(getattr(error, "rule", None), "slug", type(error).__name__)
)
def test_the_inbox_and_http_give_the_same_problem(error: Exception) -> None:
    ours, http = problem(error, MESSAGE), describe(error)

    assert (ours["type"], ours["status"], ours["title"]) == (http.type.urn, http.type.status, http.type.title)
    assert [e["field"] for e in ours["errors"]] == [e.field for e in http.errors]
    assert ours["instance"] == f"urn:uuid:{MESSAGE}"
    assert "nobody may see" not in str(ours)
