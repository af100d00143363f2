"""One reading of the events topic for all views of a process: each record is fetched, checked and decoded once.

The latest records are kept. A view that has come to them takes its next ones from there; one that is further back
reads the topic itself until it has. There is no thread for it: a view that has taken all there is reads on for all,
and the others wait for what it finds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from consumers.published import Published
from consumers.topic_reader import PAGE, TopicReader

MOST_BYTES = 2 * 1024 * 1024
"""Most bytes of records that are kept, as they lie on the topic: decoded they take several times as much. A larger page
is kept whole until the next one."""


class TopicFeed:
    """What the views of one process read from; ``make`` makes a reader of the topic."""

    def __init__(self, make: Callable[[], TopicReader]) -> None:
        self.make = make
        self._state = threading.Condition()
        self._records: deque[Published] = deque()
        self._bytes = 0
        self._last = 0
        self._reading = False
        self._reader: TopicReader | None = None
        self._foreign = 0
        self._users = 0

    def reader(self) -> FeedReader:
        """Return a reader for one view."""
        with self._state:
            self._users += 1
        return FeedReader(self)

    def take(self, after: int, limit: int, timeout: float) -> list[Published] | None:
        """Return the records after a position, empty if none came in time; ``None`` when they are not kept.

        Raises what :meth:`TopicReader.read` does, to the one that read on.
        """
        deadline = time.monotonic() + timeout
        with self._state:
            if not self._records and not self._reading:
                self._last = max(self._last, after)
            while True:
                first = self._last - len(self._records) + 1
                if not first <= after + 1 <= self._last + 1:
                    return None
                if after < self._last:
                    return list(islice(self._records, after + 1 - first, after + 1 - first + limit))
                if not self._reading:
                    break
                if not self._state.wait(deadline - time.monotonic()):
                    return []
            self._reading = True
        try:
            return self._read_on(after, limit, max(0.0, deadline - time.monotonic()))
        finally:
            with self._state:
                self._reading = False
                self._state.notify_all()

    def left(self) -> None:
        """Note that a view has ended; with the last one the connection to Kafka is closed."""
        with self._state:
            self._users -= 1
            if self._users:
                return
            self._records.clear()
            self._bytes = self._last = 0
        self._drop()

    @property
    def foreign(self) -> int:
        """Return how many records without the relay's code were met."""
        return self._foreign + (self._reader.foreign if self._reader else 0)

    @property
    def at_end(self) -> bool:
        """Return whether there was nothing more to read when last looked."""
        return self._reader.at_end if self._reader else False

    def _read_on(self, after: int, limit: int, timeout: float) -> list[Published]:
        """Read the next page, keep it, and return it; only by the one that has set ``_reading``."""
        if self._reader is None:
            self._reader = self.make()
        try:
            page = self._reader.read(after, limit=limit, timeout=timeout)
        except BaseException:
            self._drop()
            raise
        with self._state:
            self._records.extend(page)
            self._bytes += sum(len(published.value) for published in page)
            self._last = page[-1].position if page else after
            while len(self._records) > len(page) and self._bytes > MOST_BYTES:
                self._bytes -= len(self._records.popleft().value)
        return page

    def _drop(self) -> None:
        """Close the reader: the next one to read on makes another."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._foreign += reader.foreign
            reader.close()


class FeedReader:
    """A reader of the topic for one view: out of what is kept, or, where it is further back, by itself."""

    def __init__(self, feed: TopicFeed) -> None:
        self._feed = feed
        self._own: TopicReader | None = None
        self._foreign_before = feed.foreign
        self._foreign_own = 0
        self._at_end = False
        self._open = True

    @property
    def foreign(self) -> int:
        """Return how many records without the relay's code were met since this reader was made."""
        return self._foreign_own + (self._own.foreign if self._own else 0) + self._feed.foreign - self._foreign_before

    @property
    def at_end(self) -> bool:
        """Return whether there was nothing more to read when last looked."""
        return self._own.at_end if self._own else self._at_end

    def read(self, after: int, *, limit: int = PAGE, timeout: float = 0.5) -> list[Published]:
        """Return the next records, and raise, like :meth:`TopicReader.read`."""
        found = self._feed.take(after, limit, timeout)
        if found is None:
            if self._own is None:
                self._own = self._feed.make()
            return self._own.read(after, limit=limit, timeout=timeout)
        self._close_own()
        self._at_end = not found and self._feed.at_end
        return found

    def close(self) -> None:
        """Close what only this reader used."""
        self._close_own()
        if self._open:
            self._open = False
            self._feed.left()

    def _close_own(self) -> None:
        if self._own is not None:
            self._foreign_own += self._own.foreign
            self._own.close()
            self._own = None
