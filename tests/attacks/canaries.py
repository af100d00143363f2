"""Bodies in which every field that may say something about a person carries text of its own, made from the schemas.

A field of a kind that is not known here fails the test: whoever adds one decides whether it is clear or carries text.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from marshmallow import Schema, fields

from application.catalogue import OPERATIONS
from application.schemas import casework, certificates, people, wire

RARE_ZONE = "Antarctica/DumontDUrville"
_CLEAR = (
    *(wire.Word, wire.Identifier, wire.Instant, wire.LanguageTag, wire.PolicyVersionName, wire.ActorName),
    *(fields.Integer, certificates.Count),
)
"""Kinds that can hold a word of a list, an identifier, a time or a number, and no text of the caller's."""
_RAW = {"recipient.address": people.AddressSchema}
"""Fields that the schema checks by hand, and by which schema."""
_NOT_PERSONAL = frozenset({"public_key"})


class Canaries:
    """Makes bodies; ``prefix`` stands in every free text, ``others`` are the values that have a form of their own."""

    def __init__(self) -> None:
        tail = secrets.token_hex(6)
        self.prefix = f"Zé{tail}"
        self.others: list[str] = [RARE_ZONE, tail, tail.upper()]
        self.made: dict[str, str] = {}

    def text(self, path: str) -> str:
        """Return new text of 17 letters; the last three say which."""
        canary = f"{self.prefix}{len(self.made):03}"
        self.made[canary] = path
        return canary

    def plain(self, path: str) -> str:
        """Return new text that an address or a header can hold: letters and digits of ASCII."""
        return self.text(path).removeprefix("Zé")

    def body(self, operation: str, **given: Any) -> dict[str, Any]:
        """Return a body for an operation with every free field filled; ``given``: path (``a__b``) to a clear value."""
        wanted = {path.replace("__", "."): value for path, value in given.items()}
        return self._object(OPERATIONS[operation].schema(), "", wanted)

    def _object(self, schema: Schema, path: str, given: Mapping[str, Any]) -> dict[str, Any]:
        filled = {}
        for name, field in schema.load_fields.items():
            here = f"{path}.{name}" if path else name
            if here in given:
                filled[name] = given[here]
            elif (value := self._value(field, here, given)) is not None:
                filled[name] = value
        return filled

    def _value(self, field: Any, path: str, given: Mapping[str, Any]) -> Any:
        if isinstance(field, fields.Nested):
            return self._object(field.schema, path, given)
        if isinstance(field, casework.TextOrObject):
            return self._object(field.nested.schema, path, given)
        if isinstance(field, fields.List):
            inner = field.inner
            both = [self.text(path)] if isinstance(inner, casework.TextOrObject) else []
            item = self._value(inner, path, given)
            return None if item is None else [item, *both]
        if isinstance(field, wire.PartialDate):
            return self._other(f"{random.randint(1901, 1949)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}")
        if isinstance(field, wire.TimeZone):
            return RARE_ZONE
        if isinstance(field, wire.Text):
            return self._text(path)
        if path in _RAW:
            return self._object(_RAW[path](), path, given)
        if isinstance(field, wire.Word) and field.required:
            return sorted(field.words)[0]
        if isinstance(field, _CLEAR):
            return None
        raise TypeError(f"{path}: {type(field).__name__} is not known to be clear, and carries no canary")

    def _text(self, path: str) -> str:
        if path.endswith("phone"):
            return self._other("+" + "".join(random.choices("123456789", k=12)))
        return self.text(path) + ("@example.org" if path.endswith("email") else "")

    def _other(self, value: str) -> str:
        self.others.append(value)
        return value


def with_free_text() -> set[str]:
    """Return the operations whose bodies can say something about a person."""

    def has(field: Any) -> bool:
        if isinstance(field, fields.Nested):
            return any(has(inner) for inner in field.schema.load_fields.values())
        if isinstance(field, fields.List):
            return has(field.inner)
        return not isinstance(field, _CLEAR)

    return {
        name
        for name, operation in OPERATIONS.items()
        if any(has(f) for n, f in operation.schema().load_fields.items() if n not in _NOT_PERSONAL)
    }


def spellings(text: str) -> dict[str, bytes]:
    """Return how text looks in the encodings in which it could have been written somewhere.

    Of digits and dates those that change them; they are many, and each spelling is a search of everything.
    """
    utf8 = text.encode()
    found = {
        "UTF-8": utf8,
        "UTF-16, little": text.encode("utf-16-le"),
        "UTF-16, big": text.encode("utf-16-be"),
        "hex": utf8.hex().encode(),
        **{f"base64 at {offset}": _base64(utf8, offset, "+/") for offset in range(3)},
    }
    if text.isascii():
        return found
    return found | {
        "lower case": text.lower().encode(),
        "upper case": text.upper().encode(),
        "Latin-1": text.encode("latin-1"),
        "decomposed": _decomposed(text),
        "JSON": json.dumps(text)[1:-1].encode(),
        "JSON, every letter": "".join(f"\\u{ord(c):04x}" for c in text).encode(),
        "JSON in JSON": json.dumps(json.dumps(text))[3:-3].encode(),
        "URL": quote(text, safe="").encode(),
        "URL, lower": quote(text, safe="").lower().encode(),
        "HTML": text.encode("ascii", "xmlcharrefreplace"),
        "Python": ascii(text)[1:-1].encode(),
        "hex, upper": utf8.hex().upper().encode(),
        "octal": "".join(chr(b) if b < 128 else f"\\{b:03o}" for b in utf8).encode(),
        **{f"base64url at {offset}": _base64(utf8, offset, "-_") for offset in range(3)},
    }


def _decomposed(text: str) -> bytes:
    return text.replace("é", "e\u0301").encode()


def _base64(content: bytes, offset: int, alphabet: str) -> bytes:
    """Return the letters that these bytes alone decide, when they begin at an offset (0 to 2) of a group of three."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + alphabet.encode()
    bits = "".join(f"{byte:08b}" for byte in bytes(offset) + content)
    first, last = -(-offset * 8 // 6), len(bits) // 6
    return bytes(letters[int(bits[i * 6 : i * 6 + 6], 2)] for i in range(first, last))
