"""Reads the next page of the topic while the last one is being applied: the database works in the meantime."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from consumers.published import Published
from consumers.topic_reader import PAGE, TopicReader

_WELL_FILLED = 0.25


class ReadAhead:
    """A reader that is one page ahead for as long as pages come well filled, that is, while there is more to read.

    The page ahead is read in a thread of its own, and the reader is used by nobody else meanwhile. What that met, a gap
    or an outage, is raised by the call that asks for the page. For one thread; close it after use.
    """

    def __init__(self, reader: TopicReader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
        self._after = 0
        self._page: Future[list[Published]] | None = None

    @property
    def foreign(self) -> int:
        """Return how many records without the relay's code were met."""
        return self._reader.foreign

    @property
    def at_end(self) -> bool:
        """Return whether there was nothing more to read when last looked."""
        return self._reader.at_end

    def read(self, after: int, *, limit: int = PAGE, timeout: float = 0.5) -> list[Published]:
        """Return the next records, and raise, like :meth:`TopicReader.read`."""
        page = self._taken(after)
        if page is None:
            page = self._reader.read(after, limit=limit, timeout=timeout)
        if len(page) >= limit * _WELL_FILLED:
            self._after = page[-1].position
            self._page = self._thread.submit(partial(self._reader.read, self._after, limit=limit, timeout=timeout))
        return page

    def close(self) -> None:
        """Close the connection to Kafka, once nothing is being read."""
        self._thread.shutdown()
        self._page = None
        self._reader.close()

    def _taken(self, after: int) -> list[Published] | None:
        """Return the page that was read ahead, ``None`` when there is none or another one is wanted."""
        reading, self._page = self._page, None
        if reading is None:
            return None
        page = reading.result()
        return page if self._after == after else None


Reader = TopicReader | ReadAhead
