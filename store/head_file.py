"""How far the log is known to have come, kept outside the database by the processes of one machine.

A database restored to a copy from before has a head below this. The file is raised before a caller is answered, so
only a crash of the operating system can leave it behind, by what was written since its last ``fsync``, a second at
most while the log moves; it is never ahead of what was committed.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

_WIDTH = 20
_SYNC_EVERY_SECONDS = 1.0


class HeadFile:
    """The highest position acknowledged on this machine for one log; shared by its processes under a file lock."""

    def __init__(self, folder: Path, log_id: UUID) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / f"{log_id}.head", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._synced = 0.0

    def position(self) -> int | None:
        """Return the highest position noted, or ``None`` when nothing was ever noted here."""
        fcntl.flock(self._file, fcntl.LOCK_SH)
        try:
            return self._read()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def raise_to(self, position: int) -> int:
        """Note a position unless a higher one is there; return the highest."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            noted = self._read()
            if noted is not None and noted >= position:
                return noted
            os.pwrite(self._file, f"{position:0{_WIDTH}d}".encode(), 0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        if time.monotonic() - self._synced > _SYNC_EVERY_SECONDS:
            os.fdatasync(self._file)
            self._synced = time.monotonic()
        return position

    def close(self) -> None:
        """Make what was noted durable, if the disk lets it, and close the file."""
        with suppress(OSError):
            os.fdatasync(self._file)
        os.close(self._file)

    def _read(self) -> int | None:
        text = os.pread(self._file, _WIDTH, 0)
        return int(text) if len(text) == _WIDTH and text.isdigit() else None
