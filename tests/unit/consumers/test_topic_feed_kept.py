"""What a feed keeps, drops and hands out, over a topic in memory that can be cut, replaced and made to fail."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consumers import topic_feed
from consumers.published import Published
from consumers.topic_feed import FeedReader, TopicFeed
from domain.errors import KafkaUnavailable

SIZE = 100


class Topic:
    """Records by position, each of which says which topic it is of; and the readers of it that are open."""

    def __init__(self, head: int) -> None:
        self.replace("first", head)
        self.open: list[Reader] = []
        self.fails = False

    def replace(self, name: str, head: int) -> None:
        self.name, self.head = name, head

    def reader(self) -> Reader:
        self.open.append(Reader(self))
        return self.open[-1]


class Reader:
    """Reads as a :class:`TopicReader` does, and never waits."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._at: tuple[str, int] | None = None
        self.begun = self.foreign = 0
        self.at_end = False

    def read(self, after: int, *, limit: int, timeout: float) -> list[Published]:
        if self._topic.fails:
            raise KafkaUnavailable("the topic cannot be read")
        if self._at != (self._topic.name, after):
            self.begun += 1
        positions = range(after + 1, min(after + limit, self._topic.head) + 1)
        self._at = self._topic.name, max(positions, default=after)
        self.at_end = not positions
        value = self._topic.name.encode().ljust(SIZE)
        return [Published(position, position, b"", "", 1, value) for position in positions]

    def close(self) -> None:
        self._topic.open.remove(self)


def read(view: FeedReader, after: int, limit: int = 50) -> list[int]:
    return positions(view.read(after, limit=limit, timeout=0.01))


def positions(records: Sequence[Published]) -> list[int]:
    return [record.position for record in records]


@pytest.fixture
def topic() -> Topic:
    return Topic(1_000)


def test_the_furthest_view_leads_where_the_one_that_began_has_stopped(topic: Topic) -> None:
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    stopped, one, other = feed.reader(), feed.reader(), feed.reader()
    assert read(stopped, 400) == list(range(401, 451))

    assert read(one, 900) == read(other, 900) == list(range(901, 951))
    assert len(topic.open) == 1


def test_a_view_left_behind_reads_alone_and_joins_again(topic: Topic) -> None:
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    ahead, behind = feed.reader(), feed.reader()
    read(ahead, 900)
    assert read(behind, 860) == list(range(861, 911))
    assert len(topic.open) == 2

    assert read(behind, 910) == list(range(911, 951))
    assert len(topic.open) == 1


def test_more_than_the_limit_is_dropped_from_the_oldest_on(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_feed, "MOST_BYTES", 80 * SIZE)
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    ahead, behind = feed.reader(), feed.reader()
    read(ahead, 0)
    read(ahead, 50)
    assert read(behind, 20) == list(range(21, 71))
    assert len(topic.open) == 1

    read(behind, 10)
    assert len(topic.open) == 2


def test_a_page_over_the_limit_stays_while_nothing_comes(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_feed, "MOST_BYTES", 10 * SIZE)
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    ahead, behind = feed.reader(), feed.reader()
    read(ahead, 950)
    assert read(ahead, 1_000) == []

    assert read(behind, 950) == list(range(951, 1_001))
    assert len(topic.open) == 1


def test_nothing_of_a_topic_that_was_replaced_is_handed_out(topic: Topic) -> None:
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    ahead, rebuilt = feed.reader(), feed.reader()
    read(ahead, 950)
    topic.replace("second", 990)
    assert read(ahead, 1_000) == []

    records = rebuilt.read(960, limit=50, timeout=0.01)
    assert positions(records) == list(range(961, 991))
    assert {record.value.strip() for record in records} == {b"second"}


def test_nothing_is_kept_over_an_outage(topic: Topic) -> None:
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    one, other = feed.reader(), feed.reader()
    read(one, 900)
    topic.fails = True
    with pytest.raises(KafkaUnavailable):
        read(one, 950)
    assert topic.open == []
    topic.fails, topic.name = False, "second"

    [record] = other.read(900, limit=1, timeout=0.01)
    assert (record.position, record.value.strip()) == (901, b"second")


def test_the_last_one_to_leave_closes_and_the_next_begins_anew(topic: Topic) -> None:
    feed = TopicFeed(topic.reader)  # type: ignore[arg-type]
    one, other = feed.reader(), feed.reader()
    read(one, 900)
    one.close()
    one.close()
    assert len(topic.open) == 1
    other.close()
    assert topic.open == []

    again = feed.reader()
    assert read(again, 0) == list(range(1, 51))
