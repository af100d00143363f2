"""When so many records do not fit, it is not the records: then a view stops, and sets none of them aside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from domain.errors import TooManyUnfit

WINDOW = 1_000
"""How many of the records last handled are looked at."""
MOST_UNFIT = 10
"""How many of these may be set aside, 1 %; the next one stops the view."""
IN_A_ROW = 5
"""So many unfit records with none between that fits stop the view: the last of them is not set aside."""


class UnfitLimits:
    """Counts for one view which of the records it handled did not fit.

    What only follows an unfit record in its stream counts neither way. So each that counts is of another stream.
    """

    def __init__(self, view: str, ago: Iterable[int] = ()) -> None:
        """Take the view's name, and how many records ago it met others that are still set aside, ascending in time."""
        self._view = view
        self._handled = 0
        self._unfit = deque(-distance for distance in ago)
        self._in_a_row = 0

    def fit(self, count: int) -> None:
        """Count records that were taken in."""
        if count:
            self._handled += count
            self._in_a_row = 0

    def unfit(self, position: int) -> None:
        """Count one that did not fit. Raises ``TooManyUnfit`` where it is one too many; it must then stay untouched."""
        while self._unfit and self._unfit[0] <= self._handled + 1 - WINDOW:
            self._unfit.popleft()
        if self._in_a_row + 1 >= IN_A_ROW or len(self._unfit) >= MOST_UNFIT:
            raise TooManyUnfit(self._view, position)
        self._handled += 1
        self._in_a_row += 1
        self._unfit.append(self._handled)
