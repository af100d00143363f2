"""Says in the log which positions went by, so that one event can be followed without a line for each."""

from __future__ import annotations

import time
from typing import Any

import structlog

SUMMARY_SECONDS = 10.0
"""At most so often there is a line at level info; it covers everything since the one before."""

log = structlog.get_logger()


class TravelLog:
    """For one thread. Each batch is a line at level debug; lines at level info cover all, every position in one."""

    def __init__(self, event: str, **fields: Any) -> None:
        self._event = event
        self._fields = fields
        self._first: int | None = None
        self._last = 0
        self._due = 0.0

    def moved(self, first: int, last: int, **fields: Any) -> None:
        """Note that positions ``first`` to ``last`` went by, and say so when it is time."""
        log.debug(self._event, first=first, last=last, **self._fields, **fields)
        if self._first is None:
            self._first = first
        self._last = last
        self.look()

    def look(self) -> None:
        """Say what went by since the last line, when it is time. Call it also while nothing moves."""
        if self._first is not None and time.monotonic() >= self._due:
            self.close()
            self._due = time.monotonic() + SUMMARY_SECONDS

    def close(self) -> None:
        """Say what has not been said yet."""
        if self._first is not None:
            count = self._last - self._first + 1
            log.info(self._event, first=self._first, last=self._last, count=count, **self._fields)
            self._first = None
