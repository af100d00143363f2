"""A process of clients of the log: each thread asks, and notes what it asks before and what it is told after.

Run as a program: ``gather.py DSN HEADS ROUND PROCESS OPERATIONS NOTES``. A note is a line, written at once, so that it
is known what a killed process had asked. Event ids, streams and keys are made from numbers, which histories then show.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import store.appender
from domain.errors import AlreadyDone, ConcurrencyConflict, OutcomeUnknown, StoreUnavailable
from store.append import AppendCommand, Idempotency, NewEvent
from store.log import EventLog

THREADS = 12
STREAMS, HOT_STREAMS, HOT_SHARE = 120, 6, 0.2
KEYS_PER_OPERATION = 0.1
RESOLVE_SECONDS = 0.3
"""Clients here give up on a lost reply soon, so that some outcomes stay unknown."""
_STREAM, _EVENT = 1 << 100, 1 << 90


def stream_id(number: int) -> UUID:
    return UUID(int=_STREAM + number)


def event_id(number: int) -> UUID:
    return UUID(int=_EVENT + number)


def event_number(identifier: UUID) -> int:
    return identifier.int - _EVENT


def stream_number(identifier: UUID) -> int:
    return identifier.int - _STREAM


class Notes:
    """One file for all threads of a process; a line is written by one call, so lines do not mix."""

    def __init__(self, file: Path, process: int) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._numbers = count()
        self._process = process

    def asked(self, asked: Mapping[str, Any]) -> int:
        """Note a call before it is made; return its number."""
        number = next(self._numbers)
        self._write({"n": number, "at": time.monotonic_ns(), "process": self._process, "asked": asked})
        return number

    def told(self, number: int, told: Mapping[str, Any]) -> None:
        """Note the answer to a call after it came."""
        self._write({"n": number, "at": time.monotonic_ns(), "told": told})

    def _write(self, line: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")


@dataclass
class Asker:
    """One thread: makes up calls from what it has seen of the streams, which others change meanwhile."""

    log: EventLog
    notes: Notes
    round: int
    number: int
    calls: int
    keys: int
    chance: random.Random
    seen: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    head: int = 0
    events: int = 0

    def run(self) -> None:
        """Make the calls."""
        kinds = ("append", "read", "head", "page")
        for _ in range(self.calls):
            getattr(self, f"_{self.chance.choices(kinds, (55, 23, 13, 9))[0]}")()

    def _append(self) -> None:
        written = list(dict.fromkeys(self._stream() for _ in range(self.chance.choice((1, 1, 1, 1, 2)))))
        relied = [self._stream()] if self.chance.random() < 0.15 else []
        if self.chance.random() < 0.6:
            for stream in (*written, *relied):
                self._read(stream)
        events, expected = [], {stream: self.seen[stream] for stream in (*relied, *written)}
        asked_events = []
        for stream in written:
            for version in range(self.seen[stream] + 1, self.seen[stream] + 1 + self.chance.choice((1, 1, 2))):
                self.events += 1
                number = (self.round << 40) + (self.number << 24) + self.events
                record = json.dumps({"n": number}).encode()
                events.append(NewEvent(event_id(number), stream_id(stream), version, "NoteAdded", record))
                asked_events.append((stream, version, number))
        key = self.chance.randrange(self.keys) if self.chance.random() < 0.2 else None
        asked = {"do": "append", "events": asked_events, "expected": list(expected.items()), "key": key}
        command = AppendCommand(
            tuple(events),
            reads={stream_id(stream): version for stream, version in expected.items()},
            idempotency=None if key is None else self._idempotency(key, asked_events[-1][2]),
        )
        number = self.notes.asked(asked)
        told = self._told(lambda: {"said": "ok", "positions": self.log.append(command).positions})
        if told is None:
            return
        if told["said"] == "ok" and len(told["positions"]) != len(asked_events):
            # Only a store without its protections answers like that: position 0 is one the checkers take from nobody.
            told["positions"] = [0] * len(asked_events)
        self.notes.told(number, told)
        if told["said"] == "ok":
            self.seen |= {stream: version for stream, version, _ in asked_events}
            self.head = told["positions"][-1] or self.head

    def _told(self, call: Any) -> dict[str, Any] | None:
        """Return the answer; ``None`` when there is none: what became of the call is not known."""
        try:
            return call()
        except ConcurrencyConflict as conflict:
            return {"said": "conflict", "stream": stream_number(conflict.stream_id)}
        except AlreadyDone as done:
            return {"said": "known", "event": done.answer["event"], "position": done.position}
        except OutcomeUnknown:
            return None
        except StoreUnavailable:
            time.sleep(0.02)
            return {"said": "refused"}

    def _read(self, stream: int | None = None) -> None:
        stream = self._stream() if stream is None else stream
        after = self.chance.choice((0, self.seen[stream]))
        number = self.notes.asked({"do": "read", "stream": stream, "after": after})
        told = self._told(lambda: {"said": "ok", "stored": self.log.read_stream(stream_id(stream), after)})
        assert told is not None
        stored = told.pop("stored", None)
        if stored is not None:
            told["ids"] = [event_number(record.event_id) for record in stored]
            told["versions"] = [record.version for record in stored]
            self.seen[stream] = stored[-1].version if stored else after
        self.notes.told(number, told)

    def _head(self) -> None:
        number = self.notes.asked({"do": "head"})
        told = self._told(lambda: {"said": "ok", "head": self.log.head()})
        assert told is not None
        self.head = told.get("head", self.head)
        self.notes.told(number, told)

    def _page(self) -> None:
        first, limit = max(1, self.head - self.chance.randrange(-2, 20)), self.chance.randrange(1, 30)
        number = self.notes.asked({"do": "page", "from": first, "limit": limit})
        told = self._told(lambda: {"said": "ok", "stored": self.log.read_from(first, limit)})
        assert told is not None
        stored = told.pop("stored", None)
        if stored is not None:
            told["positions"] = [record.position for record in stored]
            told["ids"] = [event_number(record.event_id) for record in stored]
        self.notes.told(number, told)

    def _stream(self) -> int:
        few = HOT_STREAMS if self.chance.random() < HOT_SHARE else STREAMS
        return (self.round << 10) + self.chance.randrange(few)

    def _idempotency(self, key: int, event: int) -> Idempotency:
        name = f"{self.round}/{key}"
        return Idempotency(name, "append", sha256(name.encode()).digest(), "day", 201, {"event": event})


def main(dsn: str, heads: str, round_: str, process: str, operations: str, notes: str) -> None:
    """Run the threads of one process to their end."""
    store.appender.RESOLVE_SECONDS = RESOLVE_SECONDS
    calls, number = int(operations) // THREADS, int(process)
    written = Notes(Path(notes), number)
    with EventLog(dsn, heads=Path(heads)) as log:
        askers = [
            Asker(
                log,
                written,
                int(round_),
                number * THREADS + thread,
                calls,
                max(1, int(int(operations) * KEYS_PER_OPERATION)),
                random.Random(f"{round_}/{number}/{thread}"),
            )
            for thread in range(THREADS)
        ]
        with ThreadPoolExecutor(THREADS) as threads:
            for done in [threads.submit(asker.run) for asker in askers]:
                done.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
