"""JSON answers: UTF-8, compact, ids and times as text, and weak ETags for single resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from flask import Response, request


def json_response(body: Any, status: int = 200, content_type: str = "application/json") -> Response:
    """Return a JSON response. Raises ``TypeError`` on a value that has no JSON form here."""
    text = json.dumps(body, default=_plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(text, status, content_type=content_type)


def tagged_response(body: Mapping[str, Any], tag: str) -> Response:
    """Return a single resource with its weak ETag (RFC 9110, 8.8.3), or 304 when the caller already has it.

    ``tag`` is made of positions and counts, never of content: a hash of content would be an unkeyed hash of
    personal data. The body was opened, and the reading recorded, before this is called.
    """
    response = json_response(body)
    response.set_etag(tag, weak=True)
    response.make_conditional(request)
    return response


def _plain(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")
