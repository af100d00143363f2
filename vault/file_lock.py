"""Locks a file against other threads and processes, waiting for that, but not for ever: one of them may be stopped."""

from __future__ import annotations

import fcntl
import time

from domain.errors import KeysUnavailable

_POLL_SECONDS = 0.005


def lock_file(descriptor: int, seconds: float, held: str) -> None:
    """Lock an open file until it is closed. Raises ``KeysUnavailable``, saying ``held``, after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise KeysUnavailable(held) from None
            time.sleep(_POLL_SECONDS)
