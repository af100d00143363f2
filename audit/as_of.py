"""The moment a replay is about: a position of the log, or a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.errors import FieldProblem, InvalidInput
from domain.instants import instant
from domain.record import Record

MOST_DIGITS = 18


@dataclass(frozen=True)
class AsOf:
    """The moment asked for: at most one of position and time; neither means the end of the log."""

    position: int | None = None
    time: datetime | None = None

    @classmethod
    def parse(cls, text: str | None) -> AsOf:
        """Read a position (``1204``) or a time (RFC 3339 with an offset). Raises :class:`InvalidInput`."""
        if text is None:
            return cls()
        if re.fullmatch(rf"[0-9]{{1,{MOST_DIGITS}}}", text):
            return cls(position=int(text))
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            time = None
        if time is None or time.tzinfo is None or len(text) == 10:
            raise InvalidInput([FieldProblem("as_of", "must be a position or a time as RFC 3339 with an offset")])
        try:
            return cls(time=time.astimezone(UTC))
        except OverflowError:
            raise InvalidInput([FieldProblem("as_of", "is outside the calendar")]) from None


class Cut:
    """Finds, while a log goes by, where the moment asked for lies in it.

    A time means the last position recorded at or before it: one place in the log, so that everything before that place
    counts and nothing after it, also where clocks of several processes differed a little.
    """

    def __init__(self, as_of: AsOf) -> None:
        self._as_of = as_of
        self.position = 0
        self.recorded_at: datetime | None = None
        self.policy_version: str | None = None

    def see(self, record: Record) -> None:
        """Take the next record of the log in."""
        if self._as_of.position is not None and record.position > self._as_of.position:
            return
        if self._as_of.time is not None and record.recorded_at > self._as_of.time:
            return
        self.position = record.position
        self.recorded_at = record.recorded_at
        self.policy_version = record.policy_version

    @property
    def moment(self) -> datetime | None:
        """Return the time against which terms are held: the one asked for, else that of the last record; no clock."""
        return self._as_of.time or self.recorded_at

    def to_json(self) -> dict[str, object]:
        """Return the moment as position and time."""
        return {"position": self.position, "time": None if self.moment is None else instant(self.moment)}
