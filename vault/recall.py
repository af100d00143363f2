"""Recalls keys before they are destroyed: no process is handed them any more, and those that keep them let go.

What an answer proves: from the moment a holder has obeyed, no call of its process gives out what a recalled key opened.
Kept keys are dropped; a call that held one when the recall came looks again before it answers
(:class:`vault.vault.Vault`), and meets the recall. What it had given out before, an answer on its way to its reader,
is not covered; neither is freed memory.

A holder that says nothing loses its lease: then it uses no kept key either, once it runs again. But as nothing was
heard of it, nothing is said about its memory before the longest time that keys are kept.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from vault import recall_rows
from vault.connections import Connections
from vault.destruction_request import DestructionRequest
from vault.holder import LEASE_SECONDS

_PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class Recalled:
    """How many processes that keep keys have let go of the recalled ones, and how many have not said so in time."""

    acknowledged: int
    unanswered: int


def recall(connections: Connections, requests: Sequence[DestructionRequest], longest_cache: float) -> Recalled:
    """Recall the keys of these requests; wait until every holder has obeyed or lost its lease (2 s at most).

    Can be repeated. Raises ``KeysUnavailable``.
    """
    number = connections.write(lambda cursor: recall_rows.insert_recall(cursor, requests))
    deadline = time.monotonic() + LEASE_SECONDS
    while True:
        found = connections.read(lambda cursor: recall_rows.answers(cursor, number, LEASE_SECONDS, longest_cache))
        if not found.expected or time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE_SECONDS)
    connections.write(lambda cursor: recall_rows.remove_gone(cursor, longest_cache))
    return Recalled(found.obeyed, found.expected + found.silent)
