"""Waiting until one of several open files can be read, whatever their numbers: ``select`` takes none above 1023."""

from __future__ import annotations

import math
import select
from collections.abc import Sequence
from typing import Protocol


class HasFile(Protocol):
    """A connection to PostgreSQL, or a socket."""

    def fileno(self) -> int:
        """Return the number of the open file."""
        ...


def readable(sources: Sequence[HasFile], seconds: float) -> list[HasFile]:
    """Wait up to so many seconds; return those that can be read or are broken, none when the time has passed."""
    numbered = {source.fileno(): source for source in sources}
    polled = select.poll()
    for number in numbered:
        polled.register(number, select.POLLIN)
    # In whole milliseconds, rounded up: what is left of one would be no wait. Less than 0 would be for ever.
    return [numbered[number] for number, _ in polled.poll(max(0, math.ceil(seconds * 1000)))]
