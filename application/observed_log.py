"""The event log with its appends counted and timed, as the service uses it."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from application import metrics
from domain.errors import CasekeeperError
from store.append import AppendCommand, Appended
from store.log import EventLog

log = structlog.get_logger()


class ObservedLog(EventLog):
    """An :class:`EventLog` that keeps the metrics of appending."""

    def __init__(self, dsn: str, *, heads: Path | None = None) -> None:
        super().__init__(dsn, heads=heads, committed=metrics.APPEND_BATCH.observe)

    def append(self, command: AppendCommand) -> Appended:
        """Append as :meth:`EventLog.append` does, and measure how long that took and whether it was refused."""
        started = time.perf_counter()
        try:
            appended = super().append(command)
        except CasekeeperError as error:
            metrics.APPEND_REFUSED.inc(metrics.error_class(error))
            raise
        else:
            if command.events:
                first, last = appended.positions[0], appended.positions[-1]
                log.debug("appended", event_id=command.events[-1].event_id, first=first, last=last)
            return appended
        finally:
            metrics.APPEND_SECONDS.observe(time.perf_counter() - started)
