"""Opening a page of the dashboard: what the vault takes for 50 people's sealed rows, keys kept and keys not kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

from bench.figures import Figure, Result, Run
from bench.forgetting import installation
from domain.sealed import Binding, KeyScope, SealedField
from vault.vault import Vault

ROWS = 50
LIMIT_MS = 10.0
_WAIT_SECONDS = 10.0

KEPT = Figure(f"open a page of {ROWS} sealed rows", "ms", 1.0, at_most=True, note="the limit: 10 ms; keys kept")
NOT_KEPT = Figure(f"open a page of {ROWS} sealed rows, first time", "ms", note="keys read and unwrapped; none")
FIGURES = (KEPT, NOT_KEPT)


def measure(run: Run) -> Iterator[Result]:
    """Yield milliseconds for one page; each row is of somebody else, beside 1,000 people, 300 bytes of text."""
    with installation(run.folder / "page", 1_000) as vault:
        page = [_row(vault) for _ in range(ROWS)]
        vault.hold_keys()
        give_up = time.monotonic() + _WAIT_SECONDS
        while not vault.holds_keys():
            if time.monotonic() > give_up:
                raise RuntimeError("the vault does not come to hold keys")
            time.sleep(0.05)
        first = _milliseconds(vault, page)
        again = statistics.median(_milliseconds(vault, page) for _ in range(run.rounds))
    yield KEPT.result(again, LIMIT_MS)
    yield NOT_KEPT.result(first)


def _row(vault: Vault) -> SealedField:
    subject_id = uuid4()
    scope_id = vault.scope(KeyScope(subject_id, "identity", None, 1))
    binding = Binding(subject_id, uuid4(), uuid4(), "SubjectRegistered", 1, "identity")
    return SealedField(vault.seal(scope_id, "identity", binding, {"name": "x" * 300}), binding)


def _milliseconds(vault: Vault, page: Sequence[SealedField]) -> float:
    started = time.perf_counter()
    vault.open_many(page)
    return (time.perf_counter() - started) * 1000
