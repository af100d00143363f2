"""A program that runs the relay and kills itself at a named place around a send."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

sys.path.insert(0, os.path.dirname(__file__))

from log_copy import LogCopy

from application.settings import Settings
from consumers.batch_producer import BatchProducer
from consumers.relay import Relay
from store.append import UnpublishedRecord


def main(events_dsn: str, kafka: str, prefix: str, seam: str) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    class Killed(BatchProducer):
        def publish(self, records: Sequence[UnpublishedRecord], still_there: Callable[[], bool]) -> int:
            if seam == "before send":
                die()
            offset = super().publish(records, still_there)
            if seam == "after acknowledgement":
                die()
            return offset

        def confirm(self, still_there: Callable[[], bool]) -> None:
            if seam == "after send":
                self._producer._accumulator.begin_flush()
                self._producer._sender.wakeup()
                die()
            super().confirm(still_there)

    class KilledRelay(Relay):
        def producer(self) -> BatchProducer:
            return Killed(self._settings.kafka, self._topic, self._mac)

    copy = LogCopy(Settings(events_dsn=events_dsn, kafka=kafka, topic_prefix=prefix))
    KilledRelay(copy.settings, copy.log, copy.mac, lambda *_: None).run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
