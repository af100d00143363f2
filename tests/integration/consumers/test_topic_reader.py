"""The reader of the topic: where it starts, what it skips, and a topic that is replaced under it."""

from __future__ import annotations

import pytest
from log_copy import LogCopy, record
from test_runner import publish

from consumers.topics import ensure_topics
from domain.errors import LogGap
from tests.waiting import until


@pytest.fixture
def hundred(log_copy: LogCopy) -> LogCopy:
    """A log of 100 events, none of them published."""
    log_copy.admit()
    log_copy.append_together(*(record() for _ in range(100)))
    return log_copy


@pytest.mark.parametrize("after", [0, 1, 50, 99, 100])
def test_reading_goes_on_after_any_position(hundred: LogCopy, after: int) -> None:
    publish(hundred, range(1, 41), range(20, 61), range(61, 101))
    reader = hundred.reader()
    read = [published.position for published in reader.published(after)]
    reader.close()

    assert read == list(range(after + 1, 101))


def test_records_are_the_events(hundred: LogCopy) -> None:
    publish(hundred, range(1, 101))
    reader = hundred.reader()
    read = list(reader.records(97))
    reader.close()

    stored = hundred.log.read_from(98, 3)
    assert [(r.position, r.event_id, r.stream_id) for r in read] == [
        (s.position, s.event_id, s.stream_id) for s in stored
    ]


def test_what_comes_before_a_gap_is_read_and_then_the_gap_is_told(hundred: LogCopy) -> None:
    publish(hundred, range(1, 11), range(15, 21))
    reader = hundred.reader()
    before = until(lambda: reader.read(0))
    with pytest.raises(LogGap) as gap:
        until(lambda: reader.read(10))
    reader.close()

    assert [published.position for published in before] == list(range(1, 11))
    assert (gap.value.expected, gap.value.found) == (11, 15)


def test_a_topic_replaced_by_a_longer_one_with_other_offsets_leaves_no_gap(hundred: LogCopy) -> None:
    publish(hundred, range(1, 31), range(1, 31), range(1, 31))
    reader = hundred.reader()
    after, read = 0, []
    while len(read) < 30:
        read += [published.position for published in reader.read(after)]
        after = len(read)
    assert reader.read(after, timeout=1.0) == []
    hundred.delete_topic()
    ensure_topics(hundred.settings)
    publish(hundred, range(1, 101))

    def go_on() -> bool:
        read.extend(published.position for published in reader.read(len(read)))
        return len(read) >= 100

    until(go_on)
    reader.close()

    assert read == list(range(1, 101))


def test_what_a_new_topic_begins_with_too_early_is_set_aside(hundred: LogCopy) -> None:
    publish(hundred, range(81, 101))
    reader = hundred.reader()
    early = reader.read(0, timeout=1.0)
    publish(hundred, range(1, 101))
    read = [published.position for published in reader.published(0)]
    reader.close()

    assert early == []
    assert read == list(range(1, 101))
