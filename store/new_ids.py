"""New identifiers: random UUIDs, version 4 (RFC 9562, section 5.4), from the system's randomness taken by the block.

Each call to the system lets another thread run first; where many threads append at once that took longer than the rest
of making a command.
"""

from __future__ import annotations

import os
import threading
from uuid import UUID

_BLOCK_BYTES = 1024


class _Randomness(threading.local):
    """What a thread has left of its block."""

    def __init__(self) -> None:
        self.left = memoryview(b"")


def new_id() -> UUID:
    """Return a random UUID."""
    left = _randomness.left or memoryview(os.urandom(_BLOCK_BYTES))
    _randomness.left = left[16:]
    return UUID(bytes=bytes(left[:16]), version=4)


def _forget() -> None:
    # A child must not give out what its parent still has.
    _randomness.left = memoryview(b"")


_randomness = _Randomness()
os.register_at_fork(after_in_child=_forget)
