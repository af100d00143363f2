"""A process for the test of many writers: appends to streams it shares with others, and notes what it was told."""

from __future__ import annotations

import random
from multiprocessing.connection import Connection
from threading import Thread
from uuid import UUID, uuid4

from store_builders import command, event

from domain.errors import ConcurrencyConflict
from store.append import NewEvent
from store.log import EventLog

SHARED = tuple(UUID(int=number) for number in range(1, 5))
THREADS = 3
COMMANDS_PER_THREAD = 25


def write(dsn: str, seed: int, told: Connection) -> None:
    """Append from several threads; send ``[(position, event id, stream, version)]`` and the number of conflicts."""
    acknowledged: list[tuple[int, UUID, UUID, int]] = []
    conflicts: list[UUID] = []
    with EventLog(dsn) as log:
        threads = [
            Thread(target=_write_some, args=(log, random.Random(f"{seed}/{number}"), acknowledged, conflicts))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    told.send((acknowledged, len(conflicts)))


def _write_some(
    log: EventLog, chance: random.Random, acknowledged: list[tuple[int, UUID, UUID, int]], conflicts: list[UUID]
) -> None:
    done = 0
    while done < COMMANDS_PER_THREAD:
        shared = chance.choice(SHARED)
        version = len(log.read_stream(shared))
        own = uuid4()
        events: list[NewEvent] = [event(own, 1), event(shared, version + 1), event(own, 2)][: chance.choice((1, 2, 3))]
        try:
            appended = log.append(command(*events, reads={shared: version}))
        except ConcurrencyConflict as conflict:
            conflicts.append(conflict.stream_id)
            continue
        acknowledged += [
            (position, e.event_id, e.stream_id, e.version)
            for position, e in zip(appended.positions, events, strict=True)
        ]
        done += 1
