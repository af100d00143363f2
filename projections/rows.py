"""Rows of a query as JSON-ready objects: ids and times as text, everything else as PostgreSQL gave it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.instants import instant


def rows(cursor: Cursor) -> list[dict[str, Any]]:
    """Return the rows of the query just run, by column name; times as RFC 3339 in UTC."""
    names = [column.name for column in cursor.description or ()]
    return [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in cursor]


def first(cursor: Cursor) -> dict[str, Any] | None:
    """Return the first row of the query just run, or ``None``."""
    return next(iter(rows(cursor)), None)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    return str(value) if isinstance(value, UUID) else value
