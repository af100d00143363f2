"""From a body to checked data, or to a list of problems that name fields and echo nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError

from domain.errors import FieldProblem, InvalidInput

_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_PROBLEMS = 20
"""So many problems are told of a body, the first ones: the answer must not be larger than what was sent."""


def load(schema: type[Schema], body: Any) -> dict[str, Any]:
    """Return the checked data of a body. Raises :class:`InvalidInput`, with at most 20 problems."""
    if not isinstance(body, dict):
        raise InvalidInput([FieldProblem("", "the body must be an object")])
    try:
        return dict(_made(schema).load(body))
    except ValidationError as error:
        raise InvalidInput(list(islice(_flatten(error.messages, ""), MOST_PROBLEMS))) from None


def load_identifier(name: str, value: UUID | str) -> UUID:
    """Return an identifier of a path or message. Raises :class:`InvalidInput`."""
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput([FieldProblem(name, "must be a UUID")]) from None


@cache
def _made(schema: type[Schema]) -> Schema:
    """Return the one instance of a schema: making it costs more than loading with it, and loading keeps nothing."""
    return schema()


def _flatten(messages: Any, path: str) -> Iterator[FieldProblem]:
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            yield from _flatten(inner, _join(path, name))
    else:
        texts = messages if isinstance(messages, list) else [messages]
        for text in texts:
            yield FieldProblem(path, str(text))


def _join(path: str, name: Any) -> str:
    if name == "_schema":
        return path
    # A field name is the sender's own text: one that is no plain name is not repeated.
    shown = str(name) if isinstance(name, int) or _PLAIN_NAME.fullmatch(str(name)) else "(unnamed)"
    return f"{path}.{shown}" if path else shown
