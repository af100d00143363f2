"""Whatever bytes a batch has, as long as its checksum holds: reading goes on behind it, and healthy ones are whole."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from typing import Any

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder

from casekeeper_client.batches import MOST_HEADERS, MOST_OPENED, _Fetched
from consumers.batch_producer import BATCH_BYTES
from consumers.clients import MAX_RECORD_BYTES
from tests.integration.consumers.raw_batches import GZIP, LZ4, PLAIN, batch, record, varint

PARTITION = TopicPartition("topic", 0)
PACK = {PLAIN: bytes, GZIP: gzip.compress, LZ4: lz4.frame.compress}


def at(offset: int, written: bytes) -> bytes:
    """Return a batch as it lies on the topic, from this offset on."""
    return struct.pack(">q", offset) + written[8:]


def read(*batches: bytes, begin: int = 0, kind: type = _Fetched) -> tuple[list[Any], int]:
    """Return the records of one fetch, and the offset from which the next one is."""
    fetched = kind(begin, PARTITION, MemoryRecords(b"".join(batches)))
    return fetched.take(), fetched.next_fetch_offset


def healthy(offset: int, *texts: bytes) -> bytes:
    return at(offset, batch(b"".join(record(text, delta=n) for n, text in enumerate(texts)), len(texts)))


@st.composite
def odd(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a batch of which anything behind the checksum may be odd, and how many offsets it takes."""
    records = [
        record(b"v" * draw(st.integers(0, 40)), b"k", [(b"name", b"text"), (b"n", None)], delta=n)
        for n in range(draw(st.integers(1, 4)))
    ]
    content = bytearray(b"".join(records))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    codec = draw(st.sampled_from([PLAIN, GZIP, LZ4]))
    packed = PACK[codec](bytes(content)) if draw(st.booleans()) else bytes(content)
    count = draw(st.integers(-2, 2**31 - 1) | st.integers(0, 6))
    return batch(packed, count, codec=codec, last_delta=len(records) - 1), len(records)


@examples(max_examples=1000, deadline=None)
@given(odd())
def test_reading_goes_on_behind_any_batch(made: tuple[bytes, int]) -> None:
    written, offsets = made
    found, following = read(healthy(0, b"one", b"two"), at(2, written), healthy(2 + offsets, b"three"))

    places = [one.offset for one in found]
    assert places == sorted(set(places))
    assert [(one.offset, one.value) for one in found if not 2 <= one.offset < 2 + offsets] == [
        (0, b"one"),
        (1, b"two"),
        (2 + offsets, b"three"),
    ]
    assert places[-2] == 1 + offsets
    assert following == 3 + offsets


@examples(max_examples=200, deadline=None)
@given(odd(), st.integers(0, 3))
def test_reading_that_begins_within_a_batch_goes_on_behind_it(made: tuple[bytes, int], begin: int) -> None:
    written, offsets = made
    begin = min(begin, offsets - 1)
    found, following = read(at(0, written), begin=begin)

    assert [one.offset for one in found if one.offset < begin] == []
    assert found[-1].offset == offsets - 1
    assert following == offsets


@examples(max_examples=200, deadline=None)
@given(
    st.sampled_from([PLAIN, GZIP, LZ4]),
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=300),
            st.none() | st.binary(max_size=300),
            st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=200)), max_size=9),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_what_the_library_writes_and_reads_is_read_the_same(codec: int, records: list[Any]) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
    for number, (key, value, headers) in enumerate(records):
        builder.append(number, 1_000 + number, key, value, headers)
    written = bytes(builder.build())

    assert read(written) == read(written, kind=Fetcher.PartitionRecords)


@pytest.mark.parametrize("codec", [GZIP, LZ4])
def test_a_batch_is_opened_up_to_its_bound_and_no_further(codec: int) -> None:
    overhead = len(record(bytes(MOST_OPENED))) - MOST_OPENED
    fits, grows = (record(bytes(MOST_OPENED - overhead + more)) for more in (0, 1))
    far = PACK[codec](bytes(100 * MOST_OPENED))
    batches = [at(n, batch(PACK[codec](content), codec=codec)) for n, content in enumerate([fits, grows])]
    found, _ = read(*batches, at(2, batch(far, codec=codec)), healthy(3, b"behind"))
    sizes = [None if one.value is None else len(one.value) for one in found]
    del found
    tracemalloc.start()
    read(batch(far, codec=codec))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sizes == [len(fits) - overhead, None, None, len(b"behind")]
    assert most < 4 * MOST_OPENED


def test_the_bound_is_above_all_that_we_send() -> None:
    assert 2 * max(BATCH_BYTES, MAX_RECORD_BYTES) <= MOST_OPENED


def test_a_fetch_of_which_much_was_opened_ends_and_the_next_one_goes_on() -> None:
    large = batch(PACK[LZ4](record(bytes(MOST_OPENED - 100))), codec=LZ4)
    lying = [at(n, large) for n in range(20)]
    seen, offset, fetches = [], 0, 0
    while offset < 20:
        found, offset = read(*lying[offset:], begin=offset)
        seen += [one.offset for one in found]
        fetches += 1
        assert len(found) * MOST_OPENED <= 24 * 1024 * 1024

    assert seen == list(range(20))
    assert fetches > 1


@pytest.mark.parametrize(("count", "there"), [(MOST_HEADERS, True), (MOST_HEADERS + 1, False)])
def test_more_headers_than_anybody_has_are_not_read(count: int, there: bool) -> None:
    found, _ = read(batch(record(b"value", headers=[(b"", None)] * count)))

    assert [one.value for one in found] == [b"value" if there else None]


@pytest.mark.parametrize("codec", [PLAIN, GZIP, LZ4])
def test_a_record_of_too_many_headers_takes_none_of_its_batch_with_it(codec: int) -> None:
    large = record(b"second", headers=[(b"name", b"text")] * (MOST_HEADERS + 1), delta=1)
    content = record(b"first") + large + record(b"third", delta=2)
    found, following = read(at(7, batch(PACK[codec](content), 3, codec=codec)), begin=7)

    assert [(one.offset, one.key, one.value, one.headers) for one in found] == [
        (7, None, b"first", []),
        (8, None, None, []),
        (9, None, b"third", []),
    ]
    assert following == 10


@pytest.mark.parametrize("said", [-3, 3, 5_000])
def test_one_that_ends_elsewhere_than_it_says_ends_the_batch(said: int) -> None:
    large = record(b"second", headers=[(b"name", b"text")] * (MOST_HEADERS + 1), delta=1)
    lying = varint(said) + large[len(varint(1_000)) :]
    found, following = read(batch(record(b"first") + lying + record(b"third", delta=2), 3))

    assert [(one.offset, one.value) for one in found] == [(0, b"first"), (2, None)]
    assert following == 3


def test_a_batch_that_was_damaged_on_the_way_is_still_an_error() -> None:
    with pytest.raises(CorruptRecordError):
        read(batch(record(), wrong=1))


def test_a_codec_that_is_missing_is_still_an_error() -> None:
    with pytest.raises(UnsupportedCodecError):
        read(batch(record(), codec=4))


@pytest.mark.parametrize("before", [(), (b"one", b"two")], ids=["at once", "behind others"])
def test_nothing_is_left_of_a_fetch_that_ended_with_an_error(before: tuple[bytes, ...]) -> None:
    """The library reads what is left until there is a record, and an iterator that raised has none, ever."""
    written = (healthy(0, *before) if before else b"") + at(len(before), batch(record(), codec=4))
    fetched = _Fetched(0, PARTITION, MemoryRecords(written))
    assert [one.value for one in (fetched.take() if before else ())] == list(before)
    with pytest.raises(UnsupportedCodecError):
        fetched.take()

    assert not fetched
    assert fetched.next_fetch_offset == len(before)
