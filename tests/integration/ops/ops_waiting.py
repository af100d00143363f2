"""Waiting for something to become true, with a deadline that fails the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def eventually(what: Callable[[], object], seconds: float = 15.0) -> object:
    """Return the first true answer of ``what``; AssertionError if none comes in time."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = what()
        if answer:
            return answer
        pause.wait(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")
