"""A program that runs ``casekeeper`` and dies by SIGKILL at a named function: before it, or once it has returned.

``killed_at.py <module>:<function> before|after <nth> [--parent] -- <arguments of casekeeper>``

The ``nth`` time it comes there counts, from 1. With ``--parent`` it is the process that started this one that is
killed, and this one goes on.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from at_a_step import run_casekeeper


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    where, when, nth, *more = arguments[:split]
    die = _kill_parent if more else _kill
    run_casekeeper(arguments[split + 1 :], where, when, _at(int(nth), die))


def _at(nth: int, die: Callable[[], None]) -> Callable[[], None]:
    count, lock = itertools.count(1), threading.Lock()

    def die_in_turn() -> None:
        with lock:
            if next(count) == nth:
                die()

    return die_in_turn


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_parent() -> None:
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1:])
