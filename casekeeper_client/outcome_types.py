"""What may become of a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Accepted:
    """The command was carried out. ``answer`` is what HTTP would have answered: identifiers and the receipt."""

    message_id: str
    answer: Mapping[str, Any]

    @property
    def id(self) -> str | None:
        """Return the identifier of what was made, if something was."""
        return self.answer.get("id")

    @property
    def position(self) -> int:
        """Return the position in the log; views that have reached it show the effect."""
        return int(self.answer["receipt"]["position"])


@dataclass(frozen=True)
class Rejected:
    """The command was refused and had no effect. ``problem`` is a problem document (RFC 9457)."""

    message_id: str
    problem: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Return the problem's stable URN, as ``urn:casekeeper:problem:consent-withdrawn``."""
        return str(self.problem["type"])

    @property
    def title(self) -> str:
        """Return the problem in words."""
        return str(self.problem["title"])


Outcome = Accepted | Rejected
