"""Rows in the text form that PostgreSQL's COPY reads: the quickest way in for rows that are new."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from psycopg2.extensions import cursor as Cursor

_CHUNK = 1024 * 1024


def copy_rows(cursor: Cursor, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a table. A column that a row does not name is NULL; an object goes to ``jsonb``, a list to an array.

    The names of table and columns come out of our own code only. Raises psycopg2's errors, and
    ``ValueError`` or ``TypeError`` for a value that is none of ours.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    names = ", ".join(f'"{column}"' for column in columns)
    lines = ("\t".join([_field(row.get(column)) for column in columns]) + "\n" for row in rows)
    # Encoded before anything is sent: text that is no UTF-8 is the record's fault, and must not look like the server's.
    cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN", BytesIO("".join(lines).encode()), _CHUNK)


def _field(value: Any) -> str:
    """Return a value as it stands between two tabs."""
    if value is None:
        return "\\N"
    if isinstance(value, dict):
        # JSON has escaped tabs and ends of lines already.
        return json.dumps(value).replace("\\", "\\\\")
    text = _array(value) if isinstance(value, list) else str(value)
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _array(items: list[Any]) -> str:
    if not all(isinstance(item, str) for item in items):
        raise TypeError("a list holds texts")
    quoted = ('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items)
    return "{" + ",".join(quoted) + "}"
