"""Identifiers that no other thread or process gets."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

from store.new_ids import new_id

EACH = 5_000


def several(_: int) -> list[UUID]:
    return [new_id() for _ in range(EACH)]


def test_threads_and_forked_processes_get_different_ones() -> None:
    mine = several(0)
    with ThreadPoolExecutor(4) as threads:
        theirs = [made for many in threads.map(several, range(4)) for made in many]
    with multiprocessing.get_context("fork").Pool(3) as processes:
        forked = [made for many in processes.map(several, range(3), chunksize=1) for made in many]

    # What this thread had left of its block when the others were forked is in none of theirs.
    mine += several(0)

    assert len({*mine, *theirs, *forked}) == 9 * EACH


def test_they_are_of_version_4_and_every_other_bit_varies() -> None:
    made = several(0)

    assert {(each.version, each.variant) for each in made} == {(4, RFC_4122)}
    ones = [sum(each.int >> bit & 1 for each in made) for bit in range(128)]
    fixed = {76, 77, 78, 79, 62, 63}
    assert all(EACH * 0.4 < count < EACH * 0.6 for bit, count in enumerate(ones) if bit not in fixed)
