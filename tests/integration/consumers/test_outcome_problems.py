"""An outcome says no as HTTP does, and both as docs/problems.md says: type, status and title for each error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.problems import describe as describe_http
from application import field_names
from application.catalogue import OPERATIONS
from application.problems import describe
from domain import errors, rules

MESSAGE = UUID("0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11")
PROBLEMS = Path(__file__).parents[3] / "docs" / "problems.md"
LISTED = {
    slug: (int(status), title)
    for slug, status, title in re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| (.*?) \|", PROBLEMS.read_text(), re.M)
}
REFUSALS = [
    (errors.InvalidInput([errors.FieldProblem("identity.birth_date", "must be a date")]), "invalid-input"),
    (errors.NotFound("case", uuid4()), "not-found"),
    (errors.IdempotencyKeyReused("the idempotency key was used before with another body"), "idempotency-key-reused"),
    (errors.DoneLongAgo("the call under this key was done"), "done-long-ago"),
    (errors.EventTooLarge(600_000, 524_288), "record-too-large"),
    (errors.Fenced([uuid4()]), "subject-erased"),
    (errors.NotAllowed("not-allowed", "this role has not the right to do this for this purpose of use"), "not-allowed"),
    (errors.NotAllowed("purpose-missing", "the token states no purpose of use"), "purpose-missing"),
    (errors.Tampered("a sealed value was changed"), "sealed-value-damaged"),
    (errors.KeyNeverExisted(uuid4()), "sealed-value-damaged"),
    (ValueError("text that nobody may see"), "internal-error"),
    *((errors.RuleRefused(rule), rule.slug) for rule in rules.ALL),
]


@pytest.mark.parametrize(
    ("error", "slug"),
    REFUSALS,
    ids=[f"{type(error).__name__}-{slug}" for error, slug in REFUSALS],
)
def test_the_inbox_and_http_give_the_same_problem(error: Exception, slug: str) -> None:
    ours, http = describe(error).document(MESSAGE), describe_http(error)

    assert (ours["type"], ours["status"], ours["title"]) == (http.type.urn, http.type.status, http.type.title)
    assert (ours["type"], (ours["status"], ours["title"])) == (f"urn:casekeeper:problem:{slug}", LISTED[slug])
    assert [e["field"] for e in ours["errors"]] == [e.field for e in http.errors]
    assert ours["instance"] == f"urn:uuid:{MESSAGE}"
    assert "nobody may see" not in str(ours)


def test_a_name_that_a_sender_made_is_withheld_and_the_whole_is_called_body() -> None:
    told = errors.InvalidInput(
        [errors.FieldProblem("data.Zanzibarova", "is unknown"), errors.FieldProblem("", "is bad")]
    )

    assert [e["field"] for e in describe(told).document(MESSAGE)["errors"]] == ["data.(unnamed)", "body"]


def test_where_the_document_is_kept_only_names_of_our_contracts_are_shown() -> None:
    told = errors.InvalidInput(
        [
            errors.FieldProblem("data.identity.zanzibarova", "unknown field"),
            errors.FieldProblem("data.710203.0.dose", "bad"),
        ]
    )

    shown = [e["field"] for e in describe(told).document(MESSAGE, field_names.ours())["errors"]]

    assert [e["field"] for e in describe(told).document(MESSAGE)["errors"]] == [
        "data.identity.zanzibarova",
        "data.710203.0.dose",
    ], "over HTTP, to the sender alone"
    assert shown == ["data.identity.(unnamed)", "data.(unnamed).0.dose"]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_name_in_an_example_is_of_our_contracts(name: str) -> None:
    operation = OPERATIONS[name]

    assert set(names_in(operation.example)) | set(operation.ids) <= field_names.ours()


def names_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)
