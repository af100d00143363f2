"""Properties of every operation's body: loaded or refused by field, never anything else, and nothing is echoed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import fields

from application.catalogue import OPERATIONS
from application.problems import describe
from application.schemas.casework import TextOrObject
from application.schemas.loading import load
from application.strict_json import parse_object
from domain.errors import InvalidInput

PLANTED = "Plantedxq7"
MAX_DEPTH = 20
NAMES = sorted(OPERATIONS)
WITH_FIELDS = [name for name in NAMES if OPERATIONS[name].schema().fields]
KNOWN_NAMES = sorted({field for name in NAMES for field in OPERATIONS[name].schema().fields} | {"note", "lines"})

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=30) | st.sampled_from(
    ["", " ", "\x00", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "a" * 5000, "4111 1111 1111 1111", "0" * 400]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63, 2**64, 1e308, -0.0])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
KEYS = st.sampled_from(KNOWN_NAMES) | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
"""Any JSON, and what is none: surrogates, NUL, infinities, numbers of 400 digits, names of other operations' fields."""
WRONG = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=3)

each = pytest.mark.parametrize("operation", NAMES)


def tried(examples: int) -> settings:
    """Return settings for so many examples, the same in every run, however slow the machine is."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=quiet)


def refusal(operation: str, body: Any) -> InvalidInput | None:
    """Load a body; return how it was refused, or ``None``. Anything but these two fails the test."""
    try:
        taken = load(OPERATIONS[operation].schema, body)
    except InvalidInput as refused:
        return refused
    assert isinstance(taken, dict)
    assert taken.keys() == OPERATIONS[operation].schema().fields.keys()
    return None


def shown(refused: InvalidInput) -> str:
    """Return everything a caller, a log or a dead letter could show of a refusal."""
    return f"{refused!s}{refused!r}{refused.problems!r}{json.dumps(describe(refused).document(UUID(int=0)))}"


def check_named(refused: InvalidInput) -> None:
    assert refused.problems
    assert all(problem.problem and isinstance(problem.field, str) for problem in refused.problems)


@each
@tried(30)
@given(body=JSON)
def test_any_json_is_loaded_or_refused_by_field(operation: str, body: Any) -> None:
    refused = refusal(operation, body)
    if refused is not None:
        check_named(refused)


@each
@tried(30)
@given(body=st.dictionaries(st.sampled_from(KNOWN_NAMES), JSON, min_size=1))
def test_any_object_with_names_of_ours_is_loaded_or_refused_by_field(operation: str, body: Any) -> None:
    refused = refusal(operation, body)
    if refused is not None:
        check_named(refused)


def planted(value: Any) -> Any:
    """Return JSON with every text and name replaced by one that carries the plant, and every number by text of it."""
    if isinstance(value, dict):
        return {(k if k in KNOWN_NAMES else f"{PLANTED}{i}"): planted(v) for i, (k, v) in enumerate(value.items())}
    if isinstance(value, list):
        return [planted(item) for item in value]
    return value if value is None or isinstance(value, bool) else f"{PLANTED}\ud800"


@each
@tried(30)
@given(body=st.dictionaries(KEYS, JSON, min_size=1))
def test_nothing_that_was_sent_is_shown_again(operation: str, body: dict[str, Any]) -> None:
    refused = refusal(operation, planted(body))

    assert refused is not None or all(value is None for value in body.values())
    if refused is not None:
        assert PLANTED.lower() not in shown(refused).lower()


@each
def test_the_example_is_taken_and_comes_through_json_the_same(operation: str) -> None:
    body = dict(OPERATIONS[operation].example)
    taken = load(OPERATIONS[operation].schema, body)
    again = load(OPERATIONS[operation].schema, parse_object(json.dumps(body).encode(), MAX_DEPTH))

    assert taken == again
    assert OPERATIONS[operation].example == body


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value inside a body."""
    entries = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(dict(body))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("operation", [name for name in NAMES if OPERATIONS[name].example])
@tried(60)
@given(value=WRONG, data=st.data())
def test_one_changed_value_is_taken_or_its_own_field_is_named(operation: str, value: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(dict(OPERATIONS[operation].example)))))
    refused = refusal(operation, put(OPERATIONS[operation].example, path, value))
    if refused is not None:
        check_named(refused)
        named = ".".join(str(part) for part in path)
        assert any(_about(problem.field, named, value) for problem in refused.problems), refused.problems


def _about(field: str, changed: str, value: Any) -> bool:
    """Return whether a problem is at the changed place, inside what was put there, or of the object around it.

    A rule between fields speaks where its docstring says; only that of ``recipient`` or ``recipient_id`` and that of
    a name at all stand beside the changed field, and both need it to be empty.
    """
    if field == changed or field.startswith(f"{changed}."):
        return True
    beside = field.rpartition(".")[0] == changed.rpartition(".")[0]
    return beside and (value is None or changed in ("valid_from", "valid_until"))


@pytest.mark.parametrize("operation", WITH_FIELDS)
@tried(20)
@given(extra=KEYS, value=SCALARS)
def test_a_field_more_is_refused_by_name_or_without_it(operation: str, extra: str, value: Any) -> None:
    example = OPERATIONS[operation].example
    if extra not in OPERATIONS[operation].schema().fields:
        refused = refusal(operation, {**example, extra: value})

        assert refused is not None
        assert [problem.problem for problem in refused.problems] == ["unknown field"]
        assert refused.problems[0].field in (extra, "(unnamed)")


@each
def test_each_field_that_must_be_there_is_named_when_it_is_not(operation: str) -> None:
    schema = OPERATIONS[operation].schema()
    example = dict(OPERATIONS[operation].example)
    for name in (name for name, field in schema.fields.items() if field.required):
        refused = refusal(operation, {k: v for k, v in example.items() if k != name})

        assert refused is not None
        assert name in [problem.field for problem in refused.problems]


@pytest.mark.parametrize("operation", WITH_FIELDS)
@tried(15)
@given(depth=st.integers(1, 3000), name=st.sampled_from(KNOWN_NAMES), as_list=st.booleans())
def test_depth_hurts_nobody(operation: str, depth: int, name: str, as_list: bool) -> None:
    body: Any = "x"
    for _ in range(depth):
        body = [body] if as_list else {name: body}

    refused = refusal(operation, {name: body})
    assert refused is not None
    check_named(refused)


@tried(200)
@given(
    raw=st.binary(max_size=200)
    | TEXTS.map(lambda t: t.encode("utf-8", "surrogatepass"))
    | JSON.map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_an_object_or_refused_by_field(raw: bytes) -> None:
    try:
        assert isinstance(parse_object(raw, MAX_DEPTH), dict)
    except InvalidInput as refused:
        check_named(refused)


@tried(60)
@given(operation=st.sampled_from(WITH_FIELDS), value=SCALARS)
def test_a_name_that_comes_twice_is_refused_wherever_it_is(operation: str, value: Any) -> None:
    whole = json.dumps(dict(OPERATIONS[operation].example))
    name = next(iter(OPERATIONS[operation].schema().fields))
    doubled = f"{{{json.dumps(name)}: {json.dumps(value)}, {whole[1:]}"
    if name in OPERATIONS[operation].example:
        with pytest.raises(InvalidInput) as refused:
            parse_object(doubled.encode(), MAX_DEPTH)
        assert name in [problem.field for problem in refused.value.problems]
        assert refused.value.slug == "malformed-json"


def test_every_free_field_is_known_here() -> None:
    """A ``Raw`` field takes any JSON unless its schema checks it; the one there is has a check of its own."""
    raw = {
        (name, field)
        for name in NAMES
        for field, kind in OPERATIONS[name].schema().fields.items()
        if type(kind) in (fields.Raw, fields.Field, fields.Dict)
    }
    assert raw == set()
    assert isinstance(OPERATIONS["register_agreement"].schema().fields["recipient"], fields.Nested)
    assert issubclass(TextOrObject, fields.Field)
