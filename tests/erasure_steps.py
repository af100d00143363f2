"""The steps of an erasure, carried out at once instead of by a worker."""

from __future__ import annotations

from uuid import UUID, uuid4

from application.erasure import ErasureSaga
from domain.rights import DueErasure


def keys_destroyed(saga: ErasureSaga, subject_id: UUID, request_id: UUID) -> DueErasure:
    """Carry out what was approved, as far as the keys: fence, drain, destroy."""
    erasure = DueErasure(subject_id, request_id, uuid4())
    saga.fence(erasure)
    assert saga.drain([erasure]) == {}
    assert saga.destroy([erasure]) == {}
    return erasure
