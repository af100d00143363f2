"""What the vault is asked to recall and destroy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class DestructionRequest:
    """What to destroy under one certificate: whole people, single scopes, or both."""

    certificate_id: UUID
    at: datetime
    subject_ids: frozenset[UUID]
    scope_ids: frozenset[UUID]
