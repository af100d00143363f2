"""Reading a JSON body strictly: what two readers could take for two different things is refused, by field.

Refused beyond RFC 8259: names that repeat, NaN and infinities (also numbers too large for a double), NUL, unpaired
surrogates (RFC 7493, 2.1 and 2.3), deep nesting, bodies that are no object.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from domain.errors import FieldProblem, InvalidInput

MAX_BODY_BYTES = 1024 * 1024
"""Largest body; more is answered 413."""
MAX_DEPTH = 20
"""Deepest nesting of objects and lists; the deepest schema has five."""
_MAX_PROBLEMS = 20
_TOP = "body"
_CAN_BE_WRONG = (str, float, dict, list)
_Place = tuple[Any, Any] | None
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class _Object(dict[str, Any]):
    """A JSON object that remembers whether a name came twice."""

    repeated: tuple[str, ...] = ()


def read_body() -> dict[str, Any]:
    """Return the request's JSON object.

    Raises :class:`InvalidInput` (``malformed-json`` or ``invalid-input``) and werkzeug's 413 and 415.
    """
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType
    raw = request.get_data(cache=False)
    if len(raw) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return parse_object(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in ``raw``. Raises :class:`InvalidInput`, which says where but not what."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _malformed(f"is nested deeper than {MAX_DEPTH}") from None
    except ValueError:
        raise _malformed("has a number with too many digits") from None
    faults = list(islice(_faults(value), _MAX_PROBLEMS))
    malformed = [FieldProblem(f.path, f.problem) for f in faults if f.malformed]
    if malformed:
        raise InvalidInput(malformed, slug="malformed-json")
    if faults:
        raise InvalidInput([FieldProblem(f.path, f.problem) for f in faults])
    if not isinstance(value, dict):
        raise InvalidInput([FieldProblem(_TOP, "must be an object")])
    return value


@dataclass(frozen=True)
class _Fault:
    malformed: bool
    path: str
    problem: str


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        made.repeated = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return made


def _faults(top: Any) -> Iterator[_Fault]:
    """Yield everything refused. Iterative, so that depth cannot hurt; a place is a chain (parent place, key)."""
    todo: list[tuple[_Place, Any, int]] = [(None, top, 1)]
    while todo:
        place, value, depth = todo.pop()
        if isinstance(value, str):
            if _UNSTORABLE.search(value):
                yield _Fault(False, _path(place), "contains NUL or an unpaired surrogate")
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield _Fault(True, _path(place), "is not a finite number")
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                yield _Fault(True, _path(place), f"is nested deeper than {MAX_DEPTH}")
                continue
            if isinstance(value, _Object):
                yield from _name_faults(place, value)
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            todo.extend(((place, k), v, depth + 1) for k, v in entries if isinstance(v, _CAN_BE_WRONG))


def _name_faults(place: _Place, value: _Object) -> Iterator[_Fault]:
    for name in value.repeated:
        yield _Fault(True, _path((place, name)), "comes more than once")
    if any(_UNSTORABLE.search(name) for name in value):
        yield _Fault(False, _path(place), "has a name that contains NUL or an unpaired surrogate")


def _path(place: _Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, key = place
        parts.append(str(key).replace(".", "?") or "?")
    return ".".join(reversed(parts)) or _TOP


def _malformed(problem: str) -> InvalidInput:
    return InvalidInput([FieldProblem(_TOP, problem)], slug="malformed-json")
