"""Destroys again what a restore brought back: keys that live although the log says that they were destroyed.

A keys cluster and keyring of the past, put back together, open what they opened then. The log says what was destroyed
since, under which certificate; that is carried out again, under the same certificate, before anything is served.
What is fenced and not yet recorded as destroyed is left to the erasure that is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from domain.record import Record
from store.append import Fence
from store.log import EventLog
from vault.vault import Vault

PAGE = 1_000
_DESTROYED = "ErasureKeysDestroyed"

log = structlog.get_logger()


@dataclass(frozen=True)
class DestroyedAgain:
    """Keys that were destroyed again: the certificate of the first time, and how many people and scopes had lived."""

    certificate_id: UUID
    keys: int


@dataclass(frozen=True)
class Reconciled:
    """How many fences were compared with the keys, and what had to be destroyed again."""

    fences: int
    again: tuple[DestroyedAgain, ...]


@dataclass(frozen=True)
class _Erasure:
    """What the log says was destroyed under one certificate."""

    certificate_id: UUID
    subject_id: UUID
    whole_person: bool
    scope_ids: frozenset[UUID]
    fenced_at: datetime


def reconcile_keys(events: EventLog, vault: Vault, compared: Callable[[int], None] = lambda count: None) -> Reconciled:
    """Compare all fences of the log with the keys; destroy again what lives and is recorded as destroyed.

    Idempotent; any number of processes may do it at once. ``compared`` is told how many fences were looked at so far.
    Raises ``StoreUnavailable``, and what ``Vault.destroy`` raises.
    """
    count, again = 0, []
    for fences in _pages(events):
        count += len(fences)
        for erasure, living in _brought_back(events, vault, fences):
            _destroy(vault, erasure)
            log.error("keys destroyed again", certificate_id=str(erasure.certificate_id), count=living)
            again.append(DestroyedAgain(erasure.certificate_id, living))
        compared(count)
    return Reconciled(count, tuple(again))


def _pages(events: EventLog) -> Iterator[list[Fence]]:
    last: UUID | None = None
    while page := events.fences_after(last, PAGE):
        yield page
        last = page[-1].fenced_id


def _brought_back(events: EventLog, vault: Vault, fences: list[Fence]) -> Iterator[tuple[_Erasure, int]]:
    """Yield the erasures on record that these fences belong to and some key of which lives, and how many live."""
    live = vault.live_among([fence.fenced_id for fence in fences])
    for subject_id in sorted(set(live.values())):
        mine = [fence for fence in fences if live.get(fence.fenced_id) == subject_id]
        for erasure in _erasures(events, subject_id, {fence.certificate_id: fence.at for fence in mine}):
            # An erasure of the same person may have destroyed these meanwhile.
            if living := vault.live_among({fence.fenced_id for fence in mine} & _ids(erasure)):
                yield erasure, len(living)


def _erasures(events: EventLog, subject_id: UUID, fenced_at: dict[UUID, datetime]) -> Iterator[_Erasure]:
    for stored in events.read_stream(subject_id):
        if stored.type != _DESTROYED:
            continue
        data = Record.parse(stored.position, stored.record).data
        certificate_id = UUID(data["certificate_id"])
        if certificate_id in fenced_at:
            scope_ids = frozenset(map(UUID, data["scope_ids"]))
            yield _Erasure(certificate_id, subject_id, data["whole_person"], scope_ids, fenced_at[certificate_id])


def _ids(erasure: _Erasure) -> set[UUID]:
    return {*erasure.scope_ids, *([erasure.subject_id] if erasure.whole_person else [])}


def _destroy(vault: Vault, erasure: _Erasure) -> None:
    """Destroy what these keys know of the erasure: scopes made after the moment they were restored to are not there."""
    known = {row.scope_id for row in vault.scopes_of(erasure.subject_id)}
    people = [erasure.subject_id] if erasure.whole_person else []
    vault.destroy(erasure.certificate_id, erasure.fenced_at, people, sorted(erasure.scope_ids & known))
