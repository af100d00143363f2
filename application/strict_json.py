"""Reading a JSON object strictly: what two readers could take for two different things is refused, by field.

Refused beyond RFC 8259: names that repeat, NaN and infinities (also numbers too large for a double), unpaired
surrogates and NUL (RFC 7493, 2.1 and 2.3), deep nesting, texts that are no object.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any

from domain.errors import FieldProblem, InvalidInput

UNPAIRED = re.compile("[\ud800-\udfff]")
"""What cannot be written as UTF-8."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""That, and what PostgreSQL does not take in text."""
_MAX_PROBLEMS = 20
_TOP = "body"
_CAN_BE_WRONG = (str, float, dict, list)
_Place = tuple[Any, Any] | None


class _Object(dict[str, Any]):
    """A JSON object that remembers whether a name came twice."""

    repeated: tuple[str, ...] = ()


class _Kind(Enum):
    MALFORMED = "malformed"
    DEEP = "deep"
    UNSTORABLE = "unstorable"


@dataclass(frozen=True)
class _Fault:
    kind: _Kind
    problem: FieldProblem


def parse_object(raw: bytes, max_depth: int, forbidden: re.Pattern[str] = UNSTORABLE) -> dict[str, Any]:
    """Return the JSON object in ``raw``, nested at most ``max_depth`` deep and with nothing ``forbidden`` in its text.

    Raises :class:`InvalidInput` (``malformed-json`` or ``invalid-input``), which says where but not what.
    """
    value = _parse(raw, max_depth)
    faults = list(islice(_faults(value, max_depth, forbidden), _MAX_PROBLEMS))
    malformed = [fault.problem for fault in faults if fault.kind is not _Kind.UNSTORABLE]
    if malformed:
        raise InvalidInput(malformed, slug="malformed-json")
    if faults:
        raise InvalidInput([fault.problem for fault in faults])
    if not isinstance(value, dict):
        raise InvalidInput([FieldProblem(_TOP, "must be an object")])
    return value


def deeper_than(value: Any, depth: int) -> bool:
    """Return whether objects and lists in a value read here are nested deeper than ``depth``, itself counted."""
    return any(fault.kind is _Kind.DEEP for fault in _faults(value, depth, UNSTORABLE))


def _parse(raw: bytes, max_depth: int) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _malformed(f"is nested deeper than {max_depth}") from None
    except ValueError:
        raise _malformed("has a number with too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        made.repeated = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return made


def _faults(top: Any, max_depth: int, forbidden: re.Pattern[str]) -> Iterator[_Fault]:
    """Yield everything refused. Iterative, so that depth cannot hurt; a place is a chain (parent place, key)."""
    todo: list[tuple[_Place, Any, int]] = [(None, top, 1)]
    while todo:
        place, value, depth = todo.pop()
        if isinstance(value, str):
            if forbidden.search(value):
                yield _fault(_Kind.UNSTORABLE, place, "contains NUL or an unpaired surrogate")
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield _fault(_Kind.MALFORMED, place, "is not a finite number")
        elif isinstance(value, dict | list):
            if depth > max_depth:
                yield _fault(_Kind.DEEP, place, f"is nested deeper than {max_depth}")
                continue
            if isinstance(value, _Object):
                yield from _name_faults(place, value, forbidden)
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            todo.extend(((place, k), v, depth + 1) for k, v in entries if isinstance(v, _CAN_BE_WRONG))


def _name_faults(place: _Place, value: _Object, forbidden: re.Pattern[str]) -> Iterator[_Fault]:
    for name in value.repeated:
        yield _fault(_Kind.MALFORMED, (place, name), "comes more than once")
    if any(forbidden.search(name) for name in value):
        yield _fault(_Kind.UNSTORABLE, place, "has a name that contains NUL or an unpaired surrogate")


def _fault(kind: _Kind, place: _Place, problem: str) -> _Fault:
    return _Fault(kind, FieldProblem(_path(place), problem))


def _path(place: _Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, key = place
        parts.append(str(key).replace(".", "?") or "?")
    return ".".join(reversed(parts)) or _TOP


def _malformed(problem: str) -> InvalidInput:
    return InvalidInput([FieldProblem(_TOP, problem)], slug="malformed-json")
