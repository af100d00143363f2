"""Views of one process read the topic once between them, and each still gets every record in order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from log_copy import LogCopy, record
from test_runner import publish

from consumers.topic_feed import FeedReader, TopicFeed
from consumers.topic_reader import TopicReader
from domain.errors import LogGap
from tests.waiting import until

EVENTS = 400


class Counted:
    """Readers of a copy's topic that were made and not closed, and what each handed out."""

    def __init__(self, copy: LogCopy) -> None:
        self.made: list[TopicReader] = []
        self.open: set[TopicReader] = set()
        self.handed: list[int] = []
        self._copy = copy

    def __call__(self) -> TopicReader:
        counted = self

        class Reader(TopicReader):
            def read(self, after: int, **how: float) -> list:
                page = super().read(after, **how)
                counted.handed += [published.position for published in page]
                return page

            def close(self) -> None:
                super().close()
                counted.open.discard(self)

        self.made.append(Reader(self._copy.settings.kafka, self._copy.topic, self._copy.mac))
        self.open.add(self.made[-1])
        return self.made[-1]


@pytest.fixture
def copy(log_copy: LogCopy) -> LogCopy:
    log_copy.admit()
    log_copy.append_together(*(record() for _ in range(EVENTS)))
    return log_copy


@pytest.fixture
def readers(copy: LogCopy) -> Iterator[Counted]:
    made = Counted(copy)
    yield made
    assert not made.open, "a connection was left open"


def read_all(reader: FeedReader, after: int, to: int, limit: int = 50) -> list[int]:
    """Return the positions that a view gets from a position on until it has the last one."""
    got: list[int] = []

    def on() -> bool:
        got.extend(published.position for published in reader.read((got or [after])[-1], limit=limit, timeout=0.3))
        return bool(got) and got[-1] >= to

    until(on, 60)
    return got


def test_many_views_read_each_record_once_between_them(copy: LogCopy, readers: Counted) -> None:
    feed = TopicFeed(readers)
    views = [feed.reader() for _ in range(6)]
    with ThreadPoolExecutor(len(views)) as threads:
        reading = [threads.submit(read_all, view, 0, EVENTS, 10 + 7 * n) for n, view in enumerate(views)]
        publish(copy, range(1, 101), range(101, 251), range(251, EVENTS + 1))
        got = [one.result() for one in reading]
    for view in views:
        view.close()

    assert got == [list(range(1, EVENTS + 1))] * 6
    assert sorted(readers.handed) == list(range(1, EVENTS + 1))
    assert len(readers.made) == 1


def test_a_view_that_is_further_back_reads_by_itself_until_it_has_come_up(copy: LogCopy, readers: Counted) -> None:
    publish(copy, range(1, 301))
    feed = TopicFeed(readers)
    ahead, behind = feed.reader(), feed.reader()
    first = read_all(ahead, 200, 300)
    second = read_all(behind, 0, 300)
    once_joined = len(readers.open)
    publish(copy, range(301, EVENTS + 1))
    third = read_all(behind, 300, EVENTS), read_all(ahead, 300, EVENTS)
    with_one = len(readers.open)
    ahead.close()
    behind.close()

    assert (first, second) == (list(range(201, 301)), list(range(1, 301)))
    assert third == (list(range(301, EVENTS + 1)),) * 2
    assert (once_joined, with_one) == (1, 1), "its own reader is closed as soon as what it needs next is kept"
    assert len(readers.made) == 2


def test_a_gap_is_told_to_each_view_after_what_came_before_it(copy: LogCopy, readers: Counted) -> None:
    publish(copy, range(1, 11), range(15, 21))
    feed = TopicFeed(readers)
    views = [feed.reader(), feed.reader()]
    got = [read_all(view, 0, 10) for view in views]
    gaps = []
    for view in views:
        with pytest.raises(LogGap) as gap:
            until(lambda view=view: view.read(10), 30)
        gaps.append((gap.value.expected, gap.value.found))
        view.close()

    assert got == [list(range(1, 11))] * 2
    assert gaps == [(11, 15)] * 2


def test_only_who_has_everything_is_at_the_end(copy: LogCopy, readers: Counted) -> None:
    publish(copy, range(1, 101))
    feed = TopicFeed(readers)
    first, second = feed.reader(), feed.reader()
    read_all(first, 0, 100)
    until(lambda: first.read(100, timeout=0.5) == [] and first.at_end, 30)
    assert [published.position for published in second.read(0, limit=30)] == list(range(1, 31))
    half_way = second.at_end
    read_all(second, 30, 100)
    until(lambda: second.read(100, timeout=0.5) == [] and second.at_end, 30)
    first.close()
    second.close()

    assert not half_way


def test_a_foreign_record_is_counted_by_the_view_that_read_it(copy: LogCopy, readers: Counted) -> None:
    publish(copy, range(1, 51))
    stranger = type(copy.mac)(bytes(32))
    genuine, copy.mac = copy.mac, stranger
    publish(copy, range(51, 54))
    copy.mac = genuine
    publish(copy, range(51, 101))
    feed = TopicFeed(readers)
    first = feed.reader()
    read_all(first, 0, 100)
    second = feed.reader()
    read_all(second, 0, 100)
    counts = first.foreign, second.foreign
    first.close()
    second.close()

    assert counts == (3, 0), "the second met none: the feed had read past them"
