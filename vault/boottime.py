"""The clock that runs on while the machine is suspended."""

from __future__ import annotations

import time


def now() -> float:
    """Return the seconds since the machine was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
