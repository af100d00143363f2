"""Group commit: a thread that appends takes along what others want appended at that moment, and commits it together.

While one batch is being committed the next one gathers, so the batches grow with the load and nobody waits on purpose.
There is no thread for it: the first in line leads, commits one batch, and hands the lead to the next in line. A writer
alone so never waits for another thread.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Sequence

from domain.errors import OutcomeUnknown, StoreUnavailable
from store.append import AppendCommand, Appended, AppendResult

Commit = Callable[[Sequence[AppendCommand]], Sequence[AppendResult]]

MAX_COMMANDS = 256
MAX_BYTES = 4 * 1024 * 1024


class _Waiting:
    """A command whose thread waits for ``called`` to be released: with a result, or to lead."""

    __slots__ = ("called", "command", "leads", "result")

    def __init__(self, command: AppendCommand) -> None:
        self.command = command
        self.result: AppendResult | None = None
        self.leads = False
        self.called = threading.Lock()
        self.called.acquire()


class GroupCommit:
    """Combines concurrent appends. ``commit`` is called by one thread at a time and answers one result per command.

    ``committed`` is told after each batch how many commands it had.
    """

    def __init__(self, commit: Commit, committed: Callable[[int], None] = lambda _commands: None) -> None:
        self._commit = commit
        self._committed = committed
        self._line: deque[_Waiting] = deque()
        self._state = threading.Lock()
        self._idle = threading.Condition(self._state)
        self._led = False
        self._closed = False

    def append(self, command: AppendCommand) -> Appended:
        """Block until the command is durable. Raises what ``commit`` answered for it, or ``StoreUnavailable``."""
        waiting = _Waiting(command)
        try:
            if not self._join(waiting):
                waiting.called.acquire()
            if waiting.result is None:
                self._lead(waiting)
        except BaseException:
            self._leave(waiting)
            raise
        assert waiting.result is not None
        if isinstance(waiting.result, Appended):
            return waiting.result
        raise waiting.result

    def close(self) -> None:
        """Refuse new commands and return when those that wait are finished."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not self._led)

    def _join(self, waiting: _Waiting) -> bool:
        """Stand in line; return whether it leads at once, which may change as soon as others move."""
        with self._state:
            if self._closed:
                raise StoreUnavailable("the event store is closed")
            # In this order, so that an interrupt leaves nobody in line whom no one will call.
            leads = waiting.leads = not self._led
            self._led = True
            self._line.append(waiting)
            return leads

    def _leave(self, waiting: _Waiting) -> None:
        """Take who was interrupted (Ctrl-C) out of the line, and the lead from it if it has that."""
        with self._state:
            if waiting in self._line:
                self._line.remove(waiting)
        self._hand_over(waiting)

    def _lead(self, leader: _Waiting) -> None:
        """Commit one batch, whose first command is the leader's own."""
        batch: list[_Waiting] = []
        results: Sequence[AppendResult] = ()
        try:
            self._gather(batch)
            results = self._commit([waiting.command for waiting in batch])
        except Exception as error:
            results = [copy.copy(error) for _ in batch]
        finally:
            # The next batch starts first: while it is committed, the threads of this one go on with their work.
            self._hand_over(leader)
            unknown = OutcomeUnknown("interrupted while committing: call again with the same command")
            for n, waiting in enumerate(batch):
                waiting.result = results[n] if results else copy.copy(unknown)
                waiting.called.release()
        self._committed(len(batch))

    def _gather(self, batch: list[_Waiting]) -> None:
        """Take the first in line into ``batch``, the leader before all; whoever is taken is told how it ended."""
        with self._state:
            batch.append(self._line.popleft())
            size = batch[0].command.size()
            while self._line and len(batch) < MAX_COMMANDS and size < MAX_BYTES:
                batch.append(self._line.popleft())
                size += batch[-1].command.size()

    def _hand_over(self, leader: _Waiting) -> None:
        """Pass the lead on, if ``leader`` has it still."""
        with self._idle:
            if not leader.leads:
                return
            leader.leads = False
            if self._line:
                self._line[0].leads = True
                self._line[0].called.release()
            else:
                self._led = False
                self._idle.notify_all()
