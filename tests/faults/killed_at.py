"""A program that runs ``casekeeper`` and dies by SIGKILL at a named function: before it, or once it has returned.

``killed_at.py <module>:<function> before|after <nth> [--parent] -- <arguments of casekeeper>``

The function is wrapped where it is defined; everything else is the genuine program. The ``nth`` call counts, from 1;
of those that it should have returned from, one that raised does not.
With ``--parent`` it is the process that started this one that is killed, and this one goes on.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    where, when, nth, *more = arguments[:split]
    die = _kill_parent if more else _kill
    module_name, _, path = where.partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for attribute in outer:
        owner = getattr(owner, attribute)
    setattr(owner, name, _wrapped(getattr(owner, name), when, int(nth), die))
    from cli.main import main as genuine

    sys.argv = ["casekeeper", *arguments[split + 1 :]]
    genuine()


def _wrapped(function: Callable[..., Any], when: str, nth: int, die: Callable[[], None]) -> Callable[..., Any]:
    count, lock = itertools.count(1), threading.Lock()

    def die_in_turn() -> None:
        with lock:
            if next(count) == nth:
                die()

    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        if when == "before":
            die_in_turn()
        result = function(*given, **named)
        if when == "after":
            die_in_turn()
        return result

    return wrapped


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_parent() -> None:
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1:])
