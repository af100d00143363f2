"""One reading of the events topic for all views of a process: each record is fetched, checked and decoded once.

The latest records are kept. A view that has come to them takes its next ones from there; one that is further back
reads the topic itself until it has. There is no thread for it: a view that has taken all there is reads on for all,
and the others wait for what it finds. What is kept is dropped when reading fails or starts over somewhere else, since
the topic may have been made anew.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from consumers.published import Published
from consumers.topic_reader import PAGE, TopicReader

MOST_BYTES = 2 * 1024 * 1024
"""Most bytes of records that are kept, as they lie on the topic: decoded they take several times as much. A larger page
is kept whole until the next one."""


class Taken(NamedTuple):
    """The next records for a view, and how many of a stranger it met by reading on for all."""

    records: list[Published]
    foreign: int = 0


class TopicFeed:
    """What the views of one process read from; ``make`` makes a reader of the topic."""

    def __init__(self, make: Callable[[], TopicReader]) -> None:
        self.make = make
        self.at_end = False
        self._state = threading.Condition()
        self._records: deque[Published] = deque()
        self._bytes = 0
        self._last = 0
        self._reading = False
        self._reader: TopicReader | None = None
        self._users = 0

    def reader(self) -> FeedReader:
        """Return a reader for one view."""
        with self._state:
            self._users += 1
        return FeedReader(self)

    def take(self, after: int, limit: int, timeout: float) -> Taken | None:
        """Return the records after a position, none if none came in time; ``None`` when they are not kept.

        Raises what :meth:`TopicReader.read` does, to the one that read on.
        """
        deadline = time.monotonic() + timeout
        with self._state:
            while True:
                first = self._last - len(self._records) + 1
                if after + 1 < first:
                    return None
                if after < self._last:
                    return Taken(list(islice(self._records, after + 1 - first, after + 1 - first + limit)))
                if not self._reading:
                    break
                if not self._state.wait(deadline - time.monotonic()):
                    return Taken([])
            self._reading = True
            if after > self._last:
                # The view that is furthest leads, or those ahead of a view that has stopped would read by themselves.
                self._keep_none(after)
        try:
            return self._read_on(after, limit, max(0.0, deadline - time.monotonic()))
        finally:
            with self._state:
                self._reading = False
                self._state.notify_all()

    def leave(self) -> None:
        """Note that a view has ended; with the last one the connection to Kafka is closed."""
        with self._state:
            self._users -= 1
            if self._users:
                return
            self._keep_none(0)
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _read_on(self, after: int, limit: int, timeout: float) -> Taken:
        """Read the next page, keep it, and return it; only by the one that has set ``_reading``."""
        if self._reader is None:
            self._reader = self.make()
        reader = self._reader
        foreign, begun = reader.foreign, reader.begun
        try:
            page = reader.read(after, limit=limit, timeout=timeout)
        except BaseException:
            with self._state:
                self._keep_none(0)
                self._reader = None
            reader.close()
            raise
        with self._state:
            self.at_end = reader.at_end
            if reader.begun != begun:
                self._keep_none(after)
            if page:
                self._keep(page)
        return Taken(page, reader.foreign - foreign)

    def _keep(self, page: list[Published]) -> None:
        self._records.extend(page)
        self._bytes += sum(len(published.value) for published in page)
        self._last = page[-1].position
        while len(self._records) > len(page) and self._bytes > MOST_BYTES:
            self._bytes -= len(self._records.popleft().value)

    def _keep_none(self, last: int) -> None:
        self._records.clear()
        self._bytes, self._last, self.at_end = 0, last, False


class FeedReader:
    """A reader of the topic for one view: out of what is kept, or, where it is further back, by itself.

    ``foreign`` counts the records without the relay's code that this view met by reading, for itself or for all.
    """

    def __init__(self, feed: TopicFeed) -> None:
        self.foreign = 0
        self.at_end = False
        self._feed = feed
        self._own: TopicReader | None = None
        self._open = True

    def read(self, after: int, *, limit: int = PAGE, timeout: float = 0.5) -> list[Published]:
        """Return the next records, and raise, like :meth:`TopicReader.read`."""
        taken = self._feed.take(after, limit, timeout)
        if taken is None:
            return self._read_alone(after, limit, timeout)
        self._close_own()
        self.foreign += taken.foreign
        self.at_end = not taken.records and self._feed.at_end
        return taken.records

    def close(self) -> None:
        """Close what only this reader used."""
        try:
            self._close_own()
        finally:
            if self._open:
                self._open = False
                self._feed.leave()

    def _read_alone(self, after: int, limit: int, timeout: float) -> list[Published]:
        if self._own is None:
            self._own = self._feed.make()
        before = self._own.foreign
        page = self._own.read(after, limit=limit, timeout=timeout)
        self.foreign += self._own.foreign - before
        self.at_end = self._own.at_end
        return page

    def _close_own(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            own.close()
