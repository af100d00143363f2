"""Fetches all that the local broker needs ahead of time: ``python3 -m ops.kafka.fetch``.

It needs the standard library only, so that the set-up can run it beside ``pip``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ops.errors import LocalServerError
from ops.kafka import class_archive
from ops.kafka.broker import Broker
from ops.kafka.jars import jars, java


def fetch() -> None:
    """Fetch what is missing of Java and Kafka, and record the archive of classes if there is none yet.

    Raises LocalServerError if Java or Kafka cannot be had, or the recorded broker does not start.
    """
    java()
    jars()
    archive = class_archive.class_archive()
    if archive.exists():
        return
    with tempfile.TemporaryDirectory(prefix=f".{archive.name}-", dir=archive.parent) as folder:
        draft = Path(folder) / archive.name
        broker = Broker(Path(folder) / "kafka")
        broker.server_options = class_archive.writing(draft)
        broker.start(Path(folder) / "kafka.log")
        try:
            broker.wait_ready()
        finally:
            broker.stop()
        if draft.exists():
            draft.replace(archive)


if __name__ == "__main__":
    try:
        fetch()
    except LocalServerError as error:
        sys.exit(str(error))
