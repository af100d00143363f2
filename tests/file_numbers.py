"""File numbers, of which a process has many while many connections are open."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 1_100
"""More than the 1,024 that ``select`` can take."""


@contextmanager
def occupied(count: int = MANY) -> Iterator[None]:
    """Keep so many file numbers in use, the lowest that are free; what is opened meanwhile gets higher ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = max(soft, count + 400) if hard == resource.RLIM_INFINITY else min(hard, max(soft, count + 400))
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    taken: list[int] = []
    try:
        taken += [os.dup(0) for _ in range(count)]
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
