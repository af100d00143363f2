"""How often something can be done in a second, by one thread or by many at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def rate(once: Callable[[], object], seconds: float) -> float:
    """Return calls per second of one thread."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        once()
        done += 1
    return done / (time.perf_counter() - started)


def threads_rate(once: Callable[[], object], threads: int, seconds: float) -> float:
    """Return calls per second of several threads together, each calling again as soon as it was answered."""
    end = time.monotonic() + seconds

    def work(_: int) -> int:
        done = 0
        while time.monotonic() < end:
            once()
            done += 1
        return done

    started = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / (time.monotonic() - started)
