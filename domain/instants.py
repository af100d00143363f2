"""Times as text, in one form everywhere: in records, tombstones and answers."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(value: datetime) -> str:
    """Return a time as RFC 3339 in UTC with microseconds, so that text order is time order."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """Read what :func:`instant` wrote."""
    return datetime.fromisoformat(text)
