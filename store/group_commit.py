"""Group commit: one thread per process takes what all others want appended and commits it together.

While one batch is being committed the next one gathers, so the batches grow with the load and nobody waits on purpose.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from domain.errors import StoreUnavailable
from store.append import AppendCommand, Appended

Outcome = Appended | Exception
Commit = Callable[[Sequence[AppendCommand]], Sequence[Outcome]]

MAX_COMMANDS = 256
MAX_BYTES = 4 * 1024 * 1024


class _Waiting:
    """A command whose thread waits for ``done`` to be released."""

    __slots__ = ("command", "done", "outcome")

    def __init__(self, command: AppendCommand) -> None:
        self.command = command
        self.outcome: Outcome | None = None
        self.done = threading.Lock()
        self.done.acquire()


class GroupCommit:
    """Combines concurrent appends. ``commit`` is called by one thread only and answers one outcome per command."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._state = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def append(self, command: AppendCommand) -> Appended:
        """Block until the command is durable. Raises what ``commit`` answered for it, or ``StoreUnavailable``."""
        waiting = _Waiting(command)
        with self._state:
            if self._closed:
                raise StoreUnavailable("the event store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                self._thread.start()
            self._queue.put(waiting)
        waiting.done.acquire()
        assert waiting.outcome is not None
        if isinstance(waiting.outcome, Appended):
            return waiting.outcome
        raise waiting.outcome

    def close(self) -> None:
        """Refuse new commands, finish those that wait, and end the thread."""
        with self._state:
            self._closed = True
            self._queue.put(None)
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = self._gather(batch)
            self._finish(batch)
            if last:
                return

    def _gather(self, batch: list[_Waiting]) -> bool:
        size = batch[0].command.size()
        with suppress(Empty):
            while len(batch) < MAX_COMMANDS and size < MAX_BYTES:
                waiting = self._queue.get_nowait()
                if waiting is None:
                    return True
                batch.append(waiting)
                size += waiting.command.size()
        return False

    def _finish(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = self._commit([waiting.command for waiting in batch])
        except Exception as error:
            outcomes = [copy.copy(error) for _ in batch]
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.outcome = outcome
            waiting.done.release()
