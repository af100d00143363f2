"""A version of the privacy policy, as decisions need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Withholding:
    """A category that an erasure must leave for now, on which ground, and when to look again."""

    ground: str
    review_after_months: int


@dataclass(frozen=True)
class PolicyVersion:
    """One published version: in force from its moment until the next one's."""

    version: str
    effective_from: datetime
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    withholding: Mapping[str, Withholding]
