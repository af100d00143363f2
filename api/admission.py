"""How much one process takes on at once: requests at work, requests that wait for a view, bodies being read.

Threads that only wait are cheap and there are many of them; what they wait for is bounded here, so that neither slow
senders nor views that are behind keep writes and health from being answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.exceptions import ServiceUnavailable

from application.settings import Settings, variable
from domain.errors import SettingInvalid, ViewBehind
from projections.views import Views

MOST_AT_ONCE = 512
"""Most requests at work that may be asked for."""
MOST_QUEUED = 64
"""Most requests that wait for a place to work."""
QUEUE_SECONDS = 5.0
"""Longest that one waits for it."""
MOST_BODIES = 256
"""Most bodies being read at once."""
MOST_SIGNINS = 32
"""Most sign-in and sign-out forms being read at once: anybody may send those, and they take no place from callers."""
MOST_DISCARDED_AT_ONCE = 32
"""Most refused bodies being read to their end at once: strangers send those, and take no place from callers."""
SPARE_THREADS = 32
"""Threads beyond all these, for health, metrics and refusals."""


def requests_at_once(settings: Settings) -> int:
    """Return how many requests work at once. Raises :class:`SettingInvalid`."""
    text = settings.api_threads
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MOST_AT_ONCE):
        raise SettingInvalid(f"{variable('api_threads')} must be a whole number from 1 to {MOST_AT_ONCE}")
    return int(text)


def threads_needed(settings: Settings) -> int:
    """Return how many threads all of them need, with those to spare. Raises :class:`SettingInvalid`."""
    reading = MOST_BODIES + MOST_SIGNINS + MOST_DISCARDED_AT_ONCE
    return requests_at_once(settings) + MOST_QUEUED + reading + SPARE_THREADS


class Busy(ServiceUnavailable):
    """More at once than this process takes; answered 503 ``busy`` at once or after the bounded wait."""


class Places:
    """So many requests work at once, so many more wait a while, the others are told to come again."""

    def __init__(self, at_once: int, queued: int = MOST_QUEUED, seconds: float = QUEUE_SECONDS) -> None:
        self.at_once = at_once
        self._free = threading.BoundedSemaphore(at_once)
        self._queue = threading.BoundedSemaphore(queued)
        self._seconds = seconds

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place. Raises :class:`Busy`."""
        if not self._free.acquire(blocking=False):
            self._wait()
        try:
            yield
        finally:
            self._free.release()

    def _wait(self) -> None:
        if not self._queue.acquire(blocking=False):
            raise Busy
        try:
            if not self._free.acquire(timeout=self._seconds):
                raise Busy
        finally:
            self._queue.release()


class ViewWaits:
    """Waiting until a view has a position: bounded in time, and in how many may wait at once."""

    def __init__(self, views: Views, seconds: float, at_once: int) -> None:
        """Let ``at_once`` reads wait, each for ``seconds`` at most."""
        self._views = views
        self._seconds = seconds
        self._free = threading.BoundedSemaphore(at_once)

    def until(self, view: str, position: int) -> None:
        """Return once the view has the position. Raises ``ViewBehind``: after the wait, or at once if many wait."""
        reached = self._views.positions().get(view, 0)
        if reached >= position:
            return
        if not self._free.acquire(blocking=False):
            raise ViewBehind(view, position, reached)
        try:
            self._views.wait_for(view, position, self._seconds)
        finally:
            self._free.release()
