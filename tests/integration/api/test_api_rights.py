"""Who may call what: every operation of the published document without a token, with bad ones, and with other roles."""

import json
import re
import time
from uuid import uuid4

import pytest
from api_shapes import Documented
from api_world import Caller

from domain.vocabulary import PURPOSES_OF_USE, ROLES

OPEN = {"/health/live", "/health/ready", "/v1/inbox-key", "/v1/outcome-keys"}
"""What needs no token."""


@pytest.fixture(scope="module")
def operations(world):
    found = Documented(world.app.test_client()).operations()
    return [(m, path, operation) for m, path, operation in found if path not in OPEN]


def call(caller, method, template):
    path = template
    while "{" in path:
        path = path[: path.index("{")] + str(uuid4()) + path[path.index("}") + 1 :]
    return caller.get(path) if method == "GET" else caller.post(path, {})


def slugs(world, operations, token):
    caller = Caller(world.app, token)
    return {(call(caller, m, path).status_code, call(caller, m, path).json["type"]) for m, path, _ in operations}


def test_the_document_lists_what_the_application_routes(world, operations):
    routed = {
        (method, str(rule).replace("<uuid:", "{").replace(">", "}"))
        for rule in world.app.url_map.iter_rules()
        if str(rule).startswith("/v1")
        for method in rule.methods & {"GET", "POST", "PUT", "PATCH", "DELETE"}
    }
    assert routed - {("GET", path) for path in OPEN} == {(method, path) for method, path, _ in operations}
    assert len(routed) > 25


def test_without_a_token_every_operation_is_401_and_records_nothing(world, operations):
    before = world.log.head()
    anonymous = Caller(world.app, None)
    for method, path, _ in operations:
        answer = call(anonymous, method, path)
        assert answer.status_code == 401, path
        assert answer.json["type"] == "urn:casekeeper:problem:token-missing"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert world.log.head() == before


def test_with_an_expired_token_every_operation_is_401(world, operations):
    token = world.token("case_manager", "casework", lifetime=-5)
    assert slugs(world, operations, token) == {(401, "urn:casekeeper:problem:token-expired")}


@pytest.mark.parametrize("token", ["x", "a.b.c", "é.é.é"])
def test_a_token_that_is_none_is_401(world, operations, token):
    assert slugs(world, operations[:3], token) == {(401, "urn:casekeeper:problem:token-invalid")}


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer   ", "bearertoken"])
def test_another_scheme_is_no_token(world, header):
    answer = world.app.test_client().get("/v1/cases", headers={"Authorization": header})
    assert (answer.status_code, answer.json["type"]) == (401, "urn:casekeeper:problem:token-missing")


def test_every_pair_of_role_and_purpose_that_is_not_documented_is_403(world, operations):
    """What each operation says it allows is what it allows: all other pairs are refused before anything is read."""
    before = world.log.head()
    for method, path, operation in operations:
        for role in ROLES - {"system"}:
            for purpose in PURPOSES_OF_USE:
                if f"{role} for {purpose}" not in operation["description"]:
                    answer = call(world.as_(role, purpose), method, path)
                    assert answer.status_code == 403, (method, path, role, purpose)
                    assert answer.json["type"] == "urn:casekeeper:problem:not-allowed"
    assert world.log.head() == before


def test_without_a_purpose_nothing_is_allowed(world, operations):
    token = world.issuer.issue("a1", ["case_manager", "privacy_officer", "service", "regulator"], "curiosity", 60)
    assert slugs(world, operations, token) == {(403, "urn:casekeeper:problem:purpose-missing")}


def test_the_role_of_the_service_itself_cannot_be_claimed(world):
    answer = Caller(world.app, world.token("system", "operations")).get("/v1/policies")
    assert answer.status_code == 403


def test_who_may_call_gets_404_for_things_that_do_not_exist(world, operations):
    """With a pair the document allows and a body that fits, an unknown id is 404: neither 403 nor 500."""
    checked = 0
    for method, path, operation in operations:
        if "{" not in path or "404" not in operation["responses"]:
            continue
        role, purpose = re.search(r"Allowed: (\w+) for (\w+)", operation["description"]).groups()
        caller = world.as_(role, purpose)
        target = path
        while "{" in target:
            target = target[: target.index("{")] + str(uuid4()) + target[target.index("}") + 1 :]
        example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        answer = caller.get(target) if method == "GET" else caller.post(target, example)
        assert answer.status_code == 404, (method, path, json.dumps(answer.json))
        checked += 1
    assert checked > 20


def test_development_tokens_are_refused_in_production(world, tmp_path):
    from dataclasses import replace

    from api.app import create_app
    from api.dev_tokens import DevIssuer
    from domain.errors import NotAllowed

    settings = replace(world.settings, env="production")
    app = create_app(settings, world.service, world.views, None)
    answer = Caller(app, world.token("case_manager", "casework")).get("/v1/cases")
    page = app.test_client().get("/signin").text

    assert (answer.status_code, answer.json["type"]) == (401, "urn:casekeeper:problem:token-invalid")
    assert "development copy" not in page
    with pytest.raises(NotAllowed):
        DevIssuer(settings, world.service.vault)


def test_a_token_expires_while_it_is_used(world):
    caller = Caller(world.app, world.token("case_manager", "casework", lifetime=1))
    first = caller.get("/v1/policies").status_code
    deadline = time.monotonic() + 5
    while (last := caller.get("/v1/policies").status_code) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a fast machine would come to the rate limit first

    assert (first, last) == (200, 401)
