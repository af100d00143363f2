"""Fetches the service's public keys over HTTP."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 16 * 1024


class Unfetched(Exception):
    """Nothing answers at an address, or something else than JSON."""


def is_address(text: str) -> bool:
    """Return whether a text is an address that :func:`fetched` takes."""
    return text.startswith(("https://", "http://"))


def fetched(address: str) -> Any:
    """Return the JSON at an ``http(s)`` address. Raises :class:`Unfetched`."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  (the scheme is checked)
            return json.loads(answer.read(_MAX_BYTES))
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError, RecursionError):
        raise Unfetched from None
