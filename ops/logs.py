"""Keeping the logs of running processes within bounds."""

from __future__ import annotations

import shutil
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024
KEPT = 3


def rotate(folder: Path, limit: int = LIMIT_BYTES, kept: int = KEPT) -> list[str]:
    """Move the content of each ``*.log`` over ``limit`` bytes aside as ``.1``, older ones up to ``kept``; name them.

    The process keeps its open file: it appends, so that after the cut it writes at the start again. A line written
    between copy and cut is lost, which a log may do and a pipe through the supervisor, that dies with it, may not.
    """
    rotated = []
    for log in sorted(folder.glob("*.log")):
        if log.stat().st_size <= limit:
            continue
        for number in range(kept - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number + 1}"))
        copy = log.with_name(f"{log.name}.1")
        shutil.copyfile(log, copy)
        copy.chmod(0o600)
        with log.open("r+b") as stream:
            stream.truncate(0)
        rotated.append(log.name)
    return rotated
