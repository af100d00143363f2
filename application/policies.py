"""The policy versions that ship, read from ``policy/``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from domain import rules
from domain.errors import RuleRefused
from domain.policy import PolicyVersion, Withholding
from policy import FOLDER


class Policies:
    """All versions, oldest first."""

    def __init__(self, versions: Sequence[PolicyVersion]) -> None:
        self._versions = sorted(versions, key=lambda v: v.effective_from)

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Self:
        """Read every version in a folder. Raises ``ValueError`` when there is none."""
        versions = [_version(json.loads(path.read_text())) for path in sorted(folder.glob("v*.json"))]
        if not versions:
            raise ValueError("no policy version found")
        return cls(versions)

    def all(self) -> Sequence[PolicyVersion]:
        """Return all versions, oldest first."""
        return tuple(self._versions)

    def in_force(self, at: datetime) -> PolicyVersion:
        """Return the version in force. Raises :class:`RuleRefused` before the first one."""
        for version in reversed(self._versions):
            if version.effective_from <= at:
                return version
        raise RuleRefused(rules.POLICY_UNKNOWN)

    def check_in_force(self, version: str, at: datetime) -> None:
        """Raise :class:`RuleRefused` unless this is the version in force (policy clause 8)."""
        if self.in_force(at).version != version:
            raise RuleRefused(rules.POLICY_UNKNOWN)


def _version(data: dict[str, Any]) -> PolicyVersion:
    return PolicyVersion(
        data["version"],
        datetime.fromisoformat(data["effective_from"]),
        tuple(data["purposes"]),
        tuple(data["categories"]),
        {w["category"]: Withholding(w["ground"], w["review_after_months"]) for w in data["withholding"]},
    )
