"""Bad input is refused with the right status, by field; nothing of what was sent is shown, nothing is recorded."""

import copy
import json

import pytest

from application.examples import BODIES

MARK = "Zq7Marker"
SUBJECT = "/v1/subjects"


def changed(operation: str, path: str, value: object) -> dict:
    """Return an example body with the value at a dotted path replaced or removed."""
    body = copy.deepcopy(dict(BODIES[operation]))
    *parents, last = path.split(".")
    inner = body
    for name in parents:
        inner = inner[int(name) if name.isdigit() else name]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return body


REMOVED = object()
PERSON, INTAKE, CASE = "register_subject", "submit_intake", "open_case"
FIRST_CONDITION = "answers.medical_history.0.condition"
REFUSED = [
    ("missing field", PERSON, "identity", REMOVED),
    ("missing nested field", PERSON, "notice.policy_version", REMOVED),
    ("null where text is needed", INTAKE, "answers.reason", None),
    ("number where text is needed", PERSON, "identity.given_name", 77001),
    ("list where an object is needed", PERSON, "identity", [MARK]),
    ("text where an object is needed", PERSON, "identity", MARK),
    ("text too long", PERSON, "identity.given_name", MARK * 100),
    ("text empty", INTAKE, "answers.reason", "  "),
    ("no e-mail address", PERSON, "identity.email", MARK),
    ("no telephone number", PERSON, "identity.phone", MARK),
    ("no date", PERSON, "identity.birth_date", MARK),
    ("no day of the calendar", PERSON, "identity.birth_date", "1999-02-30"),
    ("born tomorrow", PERSON, "identity.birth_date", "2999-01-01"),
    ("no language", PERSON, "language", MARK),
    ("no time zone", PERSON, "time_zone", f"Europe/{MARK}"),
    ("unknown field", PERSON, "surname", MARK),
    ("unknown nested field", PERSON, "identity.nick", MARK),
    ("card number in free text", INTAKE, "answers.reason", f"{MARK} 4111 1111 1111 1111"),
    ("security code in free text", INTAKE, "answers.reason", f"{MARK} cvv 123"),
    ("wrong form", INTAKE, "form", MARK),
    ("form version as text", INTAKE, "form_version", "1"),
    ("entry of a list", INTAKE, FIRST_CONDITION, ["x", MARK]),
    ("unknown case kind", CASE, "kind", MARK),
    ("no UUID", CASE, "subject_id", MARK),
]


def path_of(operation: str, case: str) -> str:
    return {"register_subject": SUBJECT, "open_case": "/v1/cases", "submit_intake": f"/v1/cases/{case}/intakes"}[
        operation
    ]


@pytest.fixture(scope="module")
def case(world):
    return world.registered()[1]


def check_refused(world, response, status, slug, fields=None):
    """Check a refusal as a whole; ``world.log`` must still end where it did."""
    shown = response.get_data(as_text=True) + json.dumps(dict(response.headers))
    problem = response.get_json()
    assert response.status_code == status, shown
    assert response.mimetype == "application/problem+json"
    assert problem["type"] == f"urn:casekeeper:problem:{slug}"
    assert {"type", "title", "status", "detail", "instance", "errors"} == set(problem)
    assert problem["status"] == status
    assert problem["instance"] == f"urn:uuid:{response.headers['X-Request-Id']}"
    assert MARK.lower() not in shown.lower()
    if fields is not None:
        assert [error["field"] for error in problem["errors"]] == fields
        assert all(error["problem"] for error in problem["errors"])


@pytest.mark.parametrize(("operation", "path", "value"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_body_that_does_not_fit_is_refused_by_field(world, case, operation, path, value):
    before = world.log.head()
    response = world.people.intake.post(path_of(operation, case), changed(operation, path, value))

    check_refused(world, response, 422, "invalid-input", [path])
    assert world.log.head() == before


def test_an_unknown_field_whose_name_may_be_data_is_not_named(world):
    response = world.people.intake.post(SUBJECT, changed(PERSON, f"identity.{MARK}", 1))

    check_refused(world, response, 422, "invalid-input", ["identity.(unnamed)"])


def test_all_wrong_fields_are_named_at_once(world):
    body = changed("register_subject", "identity.email", MARK)
    body["language"], body["nonsense"] = MARK, MARK
    response = world.people.intake.post(SUBJECT, body)

    assert sorted(error["field"] for error in response.json["errors"]) == ["identity.email", "language", "nonsense"]


MALFORMED = [
    ("no JSON", b'{"identity": Zq7Marker}', 400, "malformed-json", "body"),
    ("empty", b"", 400, "malformed-json", "body"),
    ("not UTF-8", b'{"language": "\xff\xfe"}', 400, "malformed-json", "body"),
    ("NaN", b'{"identity": {"given_name": NaN}}', 400, "malformed-json", "identity.given_name"),
    ("infinity", b'{"identity": {"given_name": [1, -Infinity]}}', 400, "malformed-json", "identity.given_name.1"),
    ("name twice", b'{"language": "en", "language": "Zq7Marker"}', 400, "malformed-json", "language"),
    ("too deep", b'{"a":' * 500 + b"1" + b"}" * 500, 400, "malformed-json", ".".join("a" * 20)),
    ("deeper than the parser goes", b"[" * 500_000, 400, "malformed-json", "body"),
    ("NUL", b'{"identity": {"given_name": "Zq7Marker\\u0000"}}', 422, "invalid-input", "identity.given_name"),
    ("unpaired surrogate", b'{"identity": {"email": "\\udc00Zq7Marker"}}', 422, "invalid-input", "identity.email"),
    ("a list", b'["Zq7Marker"]', 422, "invalid-input", "body"),
    ("a text", b'"Zq7Marker"', 422, "invalid-input", "body"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "status", "slug", "field"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
def test_json_that_cannot_be_read_as_one_thing_is_refused(world, raw, status, slug, field):
    before = world.log.head()
    response = world.people.intake.post(SUBJECT, raw=raw)

    check_refused(world, response, status, slug, [field])
    assert world.log.head() == before


def test_a_body_over_one_mebibyte_is_413(world):
    before = world.log.head()
    raw = json.dumps({"language": MARK * 120_000}).encode()
    check_refused(world, world.people.intake.post(SUBJECT, raw=raw), 413, "body-too-large", [])
    assert world.log.head() == before


def test_a_body_of_exactly_one_mebibyte_is_read_and_one_byte_more_is_not(world):
    body = json.dumps(BODIES["register_subject"]).encode()
    exact = body + b" " * (1024 * 1024 - len(body))

    assert world.people.intake.post(SUBJECT, raw=exact).status_code == 201
    check_refused(world, world.people.intake.post(SUBJECT, raw=exact + b" "), 413, "body-too-large", [])


def test_a_body_within_the_limit_whose_record_is_too_large_is_413(world, case):
    """Each field is within its own limit; sealed and padded, the event is larger than the log takes."""
    before = world.log.head()
    entry = {"condition": f"{MARK} " + "x" * 250, "note": "y" * 1900}
    body = changed("submit_intake", "answers.medical_history", [entry] * 400)
    response = world.people.intake.post(f"/v1/cases/{case}/intakes", body)

    check_refused(world, response, 413, "record-too-large", [])
    assert world.log.head() == before


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("text/plain", None),
        ("application/x-www-form-urlencoded", None),
        ("application/problem+json", None),
        ("", None),
        ("application/json", "gzip"),
    ],
)
def test_another_content_type_is_415(world, content_type, encoding):
    headers = {"Content-Encoding": encoding} if encoding else {}
    raw = json.dumps({"language": MARK}).encode()
    response = world.people.intake.post(SUBJECT, raw=raw, content_type=content_type, headers=headers)

    check_refused(world, response, 415, "unsupported-media-type", [])


def test_json_with_a_charset_is_read(world):
    raw = json.dumps(BODIES["register_subject"]).encode()
    response = world.people.intake.post(SUBJECT, raw=raw, content_type="application/json; charset=utf-8")

    assert response.status_code == 201


@pytest.mark.parametrize(
    ("path", "status", "slug", "field"),
    [
        (f"/v1/cases?name={MARK}", 400, "invalid-query", "query"),
        (f"/v1/cases?state={MARK}", 400, "invalid-query", "state"),
        (f"/v1/cases?assignee={MARK}%20x", 400, "invalid-query", "assignee"),
        (f"/v1/cases?limit={MARK}", 400, "invalid-query", "limit"),
        ("/v1/cases?limit=0", 400, "invalid-query", "limit"),
        ("/v1/cases?limit=101", 400, "invalid-query", "limit"),
        (f"/v1/cases?cursor={MARK}", 400, "invalid-query", "cursor"),
        ("/v1/cases?state=open&state=closed", 400, "invalid-query", "state"),
        ("/v1/cases?after=-1", 400, "invalid-query", "after"),
        (f"/v1/cases?after={MARK}", 400, "invalid-query", "after"),
        ("/v1/cases?after=99999999", 400, "invalid-query", "after"),
        ("/v1/cases?after=٣", 400, "invalid-query", "after"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_by_name(world, path, status, slug, field):
    before = world.log.head()
    check_refused(world, world.people.manager.get(path), status, slug, [field])
    assert world.log.head() == before


@pytest.mark.parametrize("path", [f"/v1/subjects/{MARK}", f"/v1/{MARK}", f"/{MARK}", f"/v1/cases/{MARK}/notes"])
def test_an_address_that_does_not_exist_is_404(world, path):
    check_refused(world, world.people.manager.get(path), 404, "not-found", [])


def test_a_method_an_address_does_not_take_is_405(world):
    response = world.app.test_client().delete("/v1/cases", headers={"Authorization": "Bearer x"})

    check_refused(world, response, 405, "method-not-allowed", [])
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize("key", ["", "é", "x" * 201, "tab\there"])
def test_an_idempotency_key_is_printable_ascii_up_to_200(world, key):
    before = world.log.head()
    response = world.people.intake.post(SUBJECT, BODIES["register_subject"], headers={"Idempotency-Key": key})

    check_refused(world, response, 400, "invalid-header", ["Idempotency-Key"])
    assert world.log.head() == before


def test_what_nobody_foresaw_is_500_without_its_text(world, monkeypatch):
    def broken(*_args, **_more):
        raise ZeroDivisionError(MARK)

    monkeypatch.setattr(world.service, "execute", broken)
    check_refused(world, world.people.intake.post(SUBJECT, BODIES["register_subject"]), 500, "internal-error", [])
