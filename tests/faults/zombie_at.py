"""A program that runs ``casekeeper`` and stops itself by SIGSTOP, once, at a named function, when a file appears.

``zombie_at.py <module>:<function> before|after <file> -- <arguments of casekeeper>``

Whoever made the file continues it.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from at_a_step import run_casekeeper


def main(where: str, when: str, file: str, *arguments: str) -> None:
    def stop_if_asked() -> None:
        try:
            Path(file).unlink()
        except FileNotFoundError:
            return
        # To this very thread: sent to the process, another thread may take it, and this one runs on for a moment.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    run_casekeeper(arguments[1:], where, when, stop_if_asked)


if __name__ == "__main__":
    main(*sys.argv[1:])
