"""Taking a request's body: its media type, its size, and its JSON read strictly (``application.strict_json``)."""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from application.strict_json import parse_object

MAX_BODY_BYTES = 1024 * 1024
"""Largest body; more is answered 413."""
MAX_DEPTH = 20
"""Deepest nesting of objects and lists; the deepest schema has five."""


def read_body() -> dict[str, Any]:
    """Return the request's JSON object.

    Raises :class:`InvalidInput` (``malformed-json`` or ``invalid-input``) and werkzeug's 413 and 415.
    """
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType
    raw = request.get_data(cache=False)
    if len(raw) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return parse_object(raw, MAX_DEPTH)
