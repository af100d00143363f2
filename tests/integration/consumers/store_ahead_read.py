"""A program that reads a store as the relay does, batch by batch, and says what came and how much memory it took."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from consumers.store_ahead import StoreAhead
from store.log import EventLog


def peak_kib() -> int:
    """Return the most memory that this program has had; what ``getrusage`` says includes the one that started it."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


def main(events_dsn: str) -> None:
    came = []
    with EventLog(events_dsn) as log:
        log.head()
        before = peak_kib()
        ahead = StoreAhead(log)
        while batch := ahead.batch(len(came) + 1):
            came += [(record.position, hashlib.sha256(record.record).hexdigest()) for record in batch]
        ahead.close()
    grown = peak_kib() - before
    print(json.dumps({"came": came, "grown_kib": grown}))


if __name__ == "__main__":
    main(*sys.argv[1:])
