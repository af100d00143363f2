"""Pages of a list that does not shift under the reader: the next page starts after a row, not at a number."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.errors import FieldProblem, InvalidInput
from domain.instants import parse_instant

LIMIT = 100
"""Most rows of one page."""


@dataclass(frozen=True)
class Page:
    """Rows of a list, and the opaque ``next`` to ask for what follows; ``None`` on the last page."""

    items: list[dict[str, Any]]
    next: str | None


def page_of(rows: Sequence[dict[str, Any]], limit: int, time: str, id_: str = "id") -> Page:
    """Make a page of up to ``limit`` rows out of a query for one more, ordered by the columns ``time`` and ``id_``."""
    items = list(rows[:limit])
    more = len(rows) > limit
    return Page(items, _encode(items[-1][time], items[-1][id_]) if more else None)


def start_of(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the row after which a page starts. Raises ``InvalidInput`` where ``cursor`` is not one of ours."""
    if cursor is None:
        return None
    try:
        time, id_ = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        return parse_instant(time), UUID(id_)
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidInput([FieldProblem("cursor", "is not a cursor of this list")]) from None


def check_limit(limit: int) -> int:
    """Return the limit. Raises ``InvalidInput`` unless it is 1 to 100."""
    if not 1 <= limit <= LIMIT:
        raise InvalidInput([FieldProblem("limit", f"must be from 1 to {LIMIT}")])
    return limit


def _encode(time: str, id_: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([time, id_]).encode()).decode()
