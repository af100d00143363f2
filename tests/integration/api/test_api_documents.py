"""The published documents: OpenAPI 3.1, the page made from it, and the list of problems."""

import re
from pathlib import Path

import pytest
from api_shapes import Documented
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from application.problems import BY_SLUG, FROM_RULES, OWN, describe
from domain import rules

PROBLEMS = Path(__file__).parents[3] / "docs" / "problems.md"


@pytest.fixture(scope="module")
def document(world):
    return Documented(world.app.test_client()).document


def test_the_document_is_valid_openapi_3_1(document):
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_example_fits_its_schema(document):
    checked = 0
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post"}:
            operation = item[method]
            contents = [answer.get("content", {}) for answer in operation["responses"].values()]
            contents.append(operation.get("requestBody", {}).get("content", {}))
            for content in contents:
                media = content.get("application/json")
                if media:
                    schema = {**media["schema"], "components": document["components"]}
                    errors = list(Draft202012Validator(schema).iter_errors(media["example"]))
                    assert errors == [], (path, method)
                    checked += 1
    assert checked > 50


def test_every_operation_says_what_it_does_and_who_may(document):
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post"}:
            operation = item[method]
            assert operation["summary"], path
            assert (
                path.startswith("/health")
                or path in ("/v1/inbox-key", "/v1/outcome-keys")
                or operation["description"].startswith("Allowed: ")
            )


def test_the_docs_page_shows_every_operation_and_loads_nothing_from_elsewhere(world, document):
    answer = world.app.test_client().get("/docs")

    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post"}:
            assert f"<code>{path}</code>" in answer.text
            assert item[method]["summary"].replace("'", "&#39;") in answer.text
    sources = re.findall(r'(?:src|href|action)="([^"]+)"', answer.text)
    assert sources
    assert all(source.startswith(("/", "#")) and not source.startswith("//") for source in sources)
    assert "<script" not in answer.text


def test_the_list_of_problems_is_complete_and_true():
    """docs/problems.md has one row for each type, with its status and title."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| (.*?) \|", PROBLEMS.read_text(), re.M)
    listed = {slug: (int(status), title) for slug, status, title in rows}

    assert len(rows) == len(listed)
    assert listed == {kind.slug: (kind.status, kind.title) for kind in BY_SLUG.values()}


def test_no_two_types_share_a_slug():
    assert {rule.slug for rule in rules.ALL} == {kind.slug for kind in FROM_RULES}
    assert len(BY_SLUG) == len(OWN) + len(FROM_RULES)


def test_what_the_inbox_answers_with_is_listed_too():
    from uuid import uuid4

    from domain import errors

    samples = [
        errors.InvalidInput([errors.FieldProblem("a", "b")]),
        errors.NotFound("case"),
        errors.NotAllowed("not-allowed", "x"),
        errors.RuleRefused(rules.CASE_CLOSED),
        errors.Fenced([uuid4()]),
        errors.IdempotencyKeyReused("x"),
        errors.EventTooLarge(2, 1),
        errors.Tampered("x"),
        ValueError("x"),
    ]
    for error in samples:
        document = describe(error).document(uuid4())
        kind = BY_SLUG[document["type"].removeprefix("urn:casekeeper:problem:")]
        assert (document["status"], document["title"]) == (kind.status, kind.title)
