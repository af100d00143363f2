"""What a check of ``casekeeper doctor`` found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """What one check found; ``advice`` says what to do and is empty when all is well."""

    name: str
    state: State
    found: str
    advice: str = ""
