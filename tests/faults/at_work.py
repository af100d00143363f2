"""Threads at work beside a test: what one fails with is kept, for the test to fail with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence


class AtWork(threading.Thread):
    """Does its work once, from :meth:`start` on; ``error``: what it failed with."""

    def __init__(self, name: str, work: Callable[[], object] | None = None) -> None:
        super().__init__(name=name, daemon=True)
        self.error: BaseException | None = None
        self._work = work

    def run(self) -> None:
        """Work, and keep what goes wrong."""
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def work(self) -> None:
        """Do what was given; or what a class of its own does."""
        if self._work is not None:
            self._work()


def failed(threads: Sequence[AtWork], seconds: float) -> list[str]:
    """Wait until all have ended; return who has not within so many seconds, and what each of the others failed with."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    said = [(thread.name, "has not ended" if thread.is_alive() else _shown(thread.error)) for thread in threads]
    return [f"{name}: {what}" for name, what in said if what]


def _shown(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error is not None else ""
