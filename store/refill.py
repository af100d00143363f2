"""What must be known before a (re)started database takes writes: that it is not an old copy.

With the topic: its tail is compared with the store, and what it has beyond the store's head is copied back,
with the fences that follow from it and the outcomes it carries. Without
it: the head must have reached what this machine has seen acknowledged. Where the tail comes from is the caller's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from domain.errors import LogDiverged, LogGap, StoreUnavailable
from store.append import Fence, Idempotency, NewEvent
from store.log import EventLog

_CHUNK_EVENTS = 500
_CHUNK_BYTES = 4 * 1024 * 1024

Tail = Iterable[tuple[int, NewEvent]]
FencesOf = Callable[[bytes], Iterable[Fence]]


@dataclass(frozen=True)
class Comparison:
    """How many events of the tail were found the same in the store, how many copied back, and where the tail ended."""

    same: int
    copied: int
    end: int


def admit_without_topic(log: EventLog, seen: int = 0) -> None:
    """Admit writes while the topic cannot be read, on the word of this machine's head file.

    ``seen``: the highest position that this process has seen on the topic. Raises ``StoreUnavailable`` when nothing was
    noted for this log, or the head is below that or below what was seen. An old copy that gets
    past (older by what another machine, or the second before a power cut, acknowledged) is found as ``LogDiverged``
    when the topic is back.
    """
    noted = log.noted_head()
    if noted is None:
        raise StoreUnavailable("nothing outside the database says how far the log had come: the topic must be read")
    log.admit_writes(log.admission().incarnation, max(noted, seen))


def bring_up_to_topic(log: EventLog, tail: Tail, fences_of: FencesOf) -> Comparison:
    """Compare the topic's tail with the store by event id and SHA-256, and copy back what lies beyond its head.

    ``tail``: (position, event) from the store's head or before it, in order, to the topic's end; ``fences_of``: the
    fences that a record implies. Raises ``LogGap`` when a position is missing, ``LogDiverged`` when the two differ,
    or when the topic is ahead of a store that takes writes; ``ValueError`` when the tail starts beyond the head.
    """
    admission = log.admission()
    head = admission.head
    same = copied = end = 0
    for chunk in _chunks(tail):
        if not end and 0 < head < chunk[0][0]:
            raise ValueError("the tail must start at the store's head or before it")
        known = [(position, event) for position, event in chunk if position <= head]
        beyond = [(position, event) for position, event in chunk if position > head]
        _compare(log, known)
        if beyond and admission.admitted:
            raise LogDiverged(beyond[0][0])
        _copy_back(log, head + copied, beyond, fences_of)
        same += len(known)
        copied += len(beyond)
        end = chunk[-1][0]
    return Comparison(same, copied, end)


def _compare(log: EventLog, known: list[tuple[int, NewEvent]]) -> None:
    if not known:
        return
    stored = log.fingerprints(known[0][0], known[-1][0])
    for position, event in known:
        if stored.get(position) != (event.event_id, hashlib.sha256(event.record).digest()):
            raise LogDiverged(position)


def _copy_back(log: EventLog, head: int, beyond: list[tuple[int, NewEvent]], fences_of: FencesOf) -> None:
    if not beyond:
        return
    if beyond[0][0] != head + 1:
        raise LogGap(head + 1, beyond[0][0])
    fences = [(event.event_id, fence) for _, event in beyond for fence in fences_of(event.record)]
    outcomes = [(event.event_id, carried) for _, event in beyond if (carried := Idempotency.carried_by(event.record))]
    log.refill(head + 1, [event for _, event in beyond], fences, outcomes)


def _chunks(tail: Tail) -> Iterator[list[tuple[int, NewEvent]]]:
    chunk: list[tuple[int, NewEvent]] = []
    size = 0
    previous = None
    for position, event in tail:
        if previous is not None and position != previous + 1:
            raise LogGap(previous + 1, position)
        previous = position
        chunk.append((position, event))
        size += len(event.record)
        if len(chunk) >= _CHUNK_EVENTS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
