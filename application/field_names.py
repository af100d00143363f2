"""The names of fields that our contracts have: the only ones that may be repeated where what is said is kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from marshmallow import Schema, fields

from application.catalogue import OPERATIONS
from application.schemas.casework import TextOrObject

_OF_MESSAGES = ("message_id", "command", "actor", "purpose", "data", "body")


@cache
def ours() -> frozenset[str]:
    """Return every name that a command of the catalogue or a message of the inbox can have, at any depth."""
    bodies = (name for operation in OPERATIONS.values() for name in _of_schema(operation.schema()))
    ids = (name for operation in OPERATIONS.values() for name in operation.ids)
    return frozenset((*_OF_MESSAGES, *ids, *bodies))


def _of_schema(schema: Schema) -> Iterator[str]:
    for name, field in schema.fields.items():
        yield field.data_key or name
        yield from _of_field(field)


def _of_field(field: fields.Field) -> Iterator[str]:
    if isinstance(field, fields.Nested):
        yield from _of_schema(field.schema)
    elif isinstance(field, TextOrObject):
        yield from _of_field(field.nested)
    elif isinstance(field, fields.List):
        yield from _of_field(field.inner)
