"""A program that runs ``casekeeper`` and stops itself by SIGSTOP, once, at a named function, when a file appears.

``zombie_at.py <module>:<function> before|after <file> -- <arguments of casekeeper>``

The function is wrapped where it is defined; everything else is the genuine program. Whoever made the file continues it.
"""

from __future__ import annotations

import functools
import importlib
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(where: str, when: str, file: str, *arguments: str) -> None:
    module_name, _, path = where.partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for attribute in outer:
        owner = getattr(owner, attribute)
    setattr(owner, name, _wrapped(getattr(owner, name), when, Path(file)))
    from cli.main import main as genuine

    sys.argv = ["casekeeper", *arguments[1:]]
    genuine()


def _wrapped(function: Callable[..., Any], when: str, file: Path) -> Callable[..., Any]:
    def stop_if_asked() -> None:
        try:
            file.unlink()
        except FileNotFoundError:
            return
        # To this very thread: sent to the process, another thread may take it, and this one runs on for a moment.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        if when == "before":
            stop_if_asked()
        result = function(*given, **named)
        if when == "after":
            stop_if_asked()
        return result

    return wrapped


if __name__ == "__main__":
    main(*sys.argv[1:])
