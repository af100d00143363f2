"""What the store has to publish, read while the batch before is still under way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from consumers.batch_producer import fitting
from store.append import UnpublishedRecord
from store.log import EventLog

PAGE = 1_000
PAGE_BYTES = 4 * 1024 * 1024
"""A page ends with the record that fills it: what is read takes four times as much memory for a moment."""


class StoreAhead:
    """Gives the store's records in batches. Once there is more than one page, the next is read by another thread.

    Reading ahead sends nothing: what is read is handed out when the batch before was acknowledged, or dropped. For one
    thread; close it after use.
    """

    def __init__(self, store: EventLog) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store ahead")
        self._read: list[UnpublishedRecord] = []
        self._more = False
        self._coming: Future[list[UnpublishedRecord]] | None = None

    def batch(self, first: int) -> Sequence[UnpublishedRecord]:
        """Return records from a position on, as many as fit into one batch; none when the store has none.

        Raises ``StoreUnavailable``.
        """
        if self._coming is not None:
            self._add(self._coming.result())
            self._coming = None
        if not self._read or self._read[0].position != first:
            self._read = []
            self._add(self._store.unpublished(first, PAGE, PAGE_BYTES))
        batch = fitting(self._read)
        self._read = self._read[len(batch) :]
        if self._more and not _full(self._read):
            last = (self._read or batch)[-1].position
            self._coming = self._thread.submit(self._store.unpublished, last + 1, PAGE, PAGE_BYTES)
        return batch

    def close(self) -> None:
        """Let what is being read end."""
        self._thread.shutdown()

    def _add(self, page: list[UnpublishedRecord]) -> None:
        self._read += page
        self._more = _full(page)


def _full(records: Sequence[UnpublishedRecord]) -> bool:
    """Return whether these are as many as one page, or as large."""
    return len(records) >= PAGE or sum(len(read.record) for read in records) >= PAGE_BYTES
