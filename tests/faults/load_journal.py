"""The clients' own records: a line before each attempt, and one for what came of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any


class Journal:
    """One client's journal, a JSON object a line (``independent_read.load_journal``). Threads may share it."""

    def __init__(self, path: Path, door: str) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._door = door
        self._lock = threading.Lock()
        self._file = path.open("w", buffering=1)

    def note(self, what: str, mark: str, **more: Any) -> None:
        """Write a line."""
        line = json.dumps({"what": what, "door": self._door, "mark": mark, **more})
        with self._lock:
            self.counts[what] += 1
            if what == "answered":
                self.answered[more.get("command", "")] += 1
            self._file.write(line + "\n")

    def close(self) -> None:
        self._file.close()
