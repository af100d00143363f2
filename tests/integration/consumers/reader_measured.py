"""A process that reads a topic of events to its end, and says what it read and how much memory that took.

Its arguments: the brokers, the topic. In bytes: how far its memory went up at most.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from log_copy import MAC_KEY

from consumers.published import RecordMac
from consumers.topic_reader import TopicReader


def most_memory() -> int:
    """Return the most memory that the process has had, in bytes."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def main() -> None:
    reader = TopicReader(sys.argv[1], sys.argv[2], RecordMac(MAC_KEY))
    before = most_memory()
    positions = [published.position for published in reader.published()]
    reader.close()
    print(json.dumps({"positions": positions, "foreign": reader.foreign, "grown": most_memory() - before}))


if __name__ == "__main__":
    main()
