"""The shapes of answers as JSON Schema (2020-12), published as components of the OpenAPI document.

Tests hold every answer of the main journey against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain import vocabulary

Shape = dict[str, Any]

IDENTIFIER: Shape = {"type": "string", "format": "uuid"}
INSTANT: Shape = {"type": "string", "format": "date-time"}
TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
FLAG: Shape = {"type": "boolean"}


def ref(name: str) -> Shape:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(item: Shape) -> Shape:
    """Return the shape of a list."""
    return {"type": "array", "items": item}


def one_of(words: frozenset[str]) -> Shape:
    """Return the shape of one word of a closed list."""
    return {"type": "string", "enum": sorted(words)}


def nullable(shape: Shape) -> Shape:
    """Return a shape that may also be null."""
    return {"anyOf": [shape, {"type": "null"}]}


def thing(optional: tuple[str, ...] = (), /, **properties: Shape) -> Shape:
    """Return the shape of an object; all properties but the optional ones are always there."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def page(item: Shape) -> Shape:
    """Return the shape of one page of a list; ``next`` is the cursor of the following page."""
    return thing(items=listed(item), next=nullable(TEXT))


def opened(value: Shape) -> Shape:
    """Return the shape of a personal part: the value, or a tombstone, or masked for this caller, or absent."""
    return {"anyOf": [value, ref("Erased"), ref("Masked"), {"type": "null"}]}


RECEIPT_REF = ref("Receipt")
_ADDRESS = thing(
    ("lines", "city", "postal_code", "country"),
    lines=listed(TEXT),
    city=nullable(TEXT),
    postal_code=nullable(TEXT),
    country=nullable(TEXT),
)
_IDENTITY = thing(
    ("given_name", "family_name", "birth_date", "email", "phone", "address", "time_zone"),
    given_name=nullable(TEXT),
    family_name=nullable(TEXT),
    birth_date=nullable(TEXT),
    email=nullable(TEXT),
    phone=nullable(TEXT),
    address=nullable(_ADDRESS),
    time_zone=nullable(TEXT),
)
COMPONENTS: Mapping[str, Shape] = {
    "Problem": thing(
        type=TEXT,
        title=TEXT,
        status=NUMBER,
        detail=TEXT,
        instance=TEXT,
        errors=listed(thing(field=TEXT, problem=TEXT)),
    ),
    "Receipt": thing(event_ids=listed(IDENTIFIER), stream=nullable(IDENTIFIER), version=NUMBER, position=NUMBER),
    "Erased": thing(erased=thing(at=INSTANT, certificate_id=IDENTIFIER)),
    "Masked": thing(masked=thing(category=one_of(vocabulary.CATEGORIES))),
    "Identity": _IDENTITY,
    "Made": thing(id=IDENTIFIER, receipt=RECEIPT_REF),
}
"""Components by name; the resources add their own."""

JWK: Shape = thing(kty=TEXT, crv=TEXT, x=TEXT, kid=TEXT, use=TEXT, alg=TEXT)
"""A public key (RFC 7517, RFC 8037)."""
