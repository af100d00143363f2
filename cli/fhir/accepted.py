"""Asks the service's own schemas beforehand, so that one unacceptable text costs itself and not a whole intake."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError


def refused_fields(schema: type[Schema], body: Mapping[str, Any]) -> set[str]:
    """Return the names of the members that a schema would refuse; what is missing is not held against the body."""
    try:
        _instance(schema).load(body, partial=True)
    except ValidationError as error:
        return set(error.messages) if isinstance(error.messages, dict) else {"_schema"}
    return set()


@cache
def _instance(schema: type[Schema]) -> Schema:
    return schema()


def shorten(text: str, longest: int) -> tuple[str, str]:
    """Cut a text between words: what fits in ``longest`` characters, marked with an ellipsis, and the rest."""
    if len(text) <= longest:
        return text, ""
    cut = text.rfind(" ", longest // 2, longest - 1)
    cut = longest - 2 if cut < 0 else cut
    return f"{text[:cut].rstrip()} …", f"… {text[cut:].lstrip()}"


def pieces(text: str, longest: int) -> list[str]:
    """Cut a text into pieces of at most ``longest`` characters; nothing is lost."""
    parts = []
    while text:
        part, text = shorten(text, longest)
        parts.append(part)
    return parts
