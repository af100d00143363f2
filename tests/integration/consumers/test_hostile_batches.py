"""Batches that the broker keeps and the client library cannot read: readers pass over each, and lose nothing else."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import lz4.frame
import pytest
from log_copy import LogCopy, record, values
from publishing import Answers, Publisher, answered, taking
from raw_batches import GZIP, LZ4, PLAIN, Refused, batch, field, message_set, put, varint
from raw_batches import record as raw
from tally import position, tally, tallying
from test_hostile_records import foreign
from test_runner import publish

from application.examples import BODIES
from consumers.topics import EVENTS, INBOX, INBOX_PARTITIONS
from tests.waiting import until

MIB = 1024 * 1024
READER = Path(__file__).with_name("reader_measured.py")
BEFORE_KEY = b"\x00\x00\x00"
"""Attributes, and the differences of time and offset."""
NO_KEY = varint(-1)


def wide(number: int) -> bytes:
    """Return a length of which Java takes 32 bits, with one more set."""
    return varint(number + 2**33)


def packed(content: bytes, **options: bool) -> bytes:
    return lz4.frame.compress(content, block_linked=False, **options)


def with_size(frame: bytes, size: int, checksum: int) -> bytes:
    """Return a frame whose header states another size of the content."""
    return frame[:6] + struct.pack("<QB", size, checksum) + frame[15:]


def claiming(count: int) -> bytes:
    """Return a record that has this many headers, each two bytes."""
    return raw(headers=[(b"", None)] * count)


def behind(whole: bytes) -> bytes:
    """Return a record's bytes without its length."""
    size = next(at for at, byte in enumerate(whole) if byte < 0x80) + 1
    return whole[size:]


ODD = {
    "attributes that are no number": field(bytes.fromhex("80000001027800")),
    "lengths below nothing": field(BEFORE_KEY + varint(-5) + varint(-9) + b"\x00"),
    "a wide length": field(BEFORE_KEY + NO_KEY + wide(1) + b"x" + b"\x00"),
    "a name that is no UTF-8": raw(headers=[(b"\xff\xfe", b"x")]),
    "half a million headers": claiming(500_000),
    "a time far off": raw(time=2**62),
    "a time of ten bytes": field(b"\x00" + b"\x80" * 9 + b"\x7f" + b"\x00" + NO_KEY + field(b"x") + b"\x00"),
}
"""Records, each alone in its batch, that brokers keep on every topic."""

ON_EVENTS = {
    **{name: batch(packed(content), codec=LZ4) for name, content in ODD.items()},
    "a length beyond the end": batch(packed(varint(500) + behind(raw())), codec=LZ4),
    "a length that is too short": batch(packed(varint(3) + behind(raw())), codec=LZ4),
    "a length below nothing": batch(packed(varint(-3) + behind(raw())), codec=LZ4),
    "more behind the frame": batch(packed(raw()) + b"more", codec=LZ4),
    "two frames": batch(packed(raw()) + packed(raw()), codec=LZ4),
    "another checksum": batch(packed(raw(), content_checksum=True)[:-4] + b"\x00" * 4, codec=LZ4),
    "a frame of 2^60 bytes": batch(with_size(packed(raw()), 2**60, 0x49), codec=LZ4),
    "a frame of one byte": batch(with_size(packed(raw()), 1, 0x2C), codec=LZ4),
    "8 MiB": batch(packed(raw(bytes(8 * MIB))), codec=LZ4),
    "unknown attributes": batch(packed(raw()), codec=LZ4, attributes=0x7FC0),
}
"""Batches that are kept on a topic whose batches are packed."""

ON_INBOX = {
    **{name: batch(content) for name, content in ODD.items()},
    "an offset far off": batch(raw(delta=1_000_000)),
    "an offset before the batch": batch(raw(delta=-5)),
    "unknown attributes": batch(raw(), attributes=0x7FC0),
}
"""Batches that are kept on a topic whose batches are not packed."""

REFUSED = {
    "headers below nothing": batch(field(BEFORE_KEY + NO_KEY + field(b"x") + varint(-1))),
    "a name below nothing": batch(field(BEFORE_KEY + NO_KEY + field(b"x") + varint(1) + varint(-1) + varint(-1))),
    "a value beyond the end": batch(field(BEFORE_KEY + NO_KEY + varint(5000) + b"\x00")),
    "two records said, one there": batch(raw(), 2),
    "one record said, two there": batch(raw() + raw(delta=1)),
    "no record": batch(b"", 0),
    "records below nothing": batch(raw(), -1, last_delta=0),
    "more offsets than records": batch(raw(), last_delta=5),
    "fewer offsets than records": batch(raw() + raw(delta=1), 2, last_delta=0),
    "more behind the records": batch(packed(raw() + b"\x00"), codec=LZ4),
    "a control batch": batch(raw(key=b"\x00\x00\x00\x01"), attributes=0x20),
    "a transaction's": batch(raw(), attributes=0x10),
    "the broker's own time": batch(raw(), attributes=0x08),
    "a later format": batch(raw(), magic=3),
    "a format below nothing": batch(raw(), magic=-1),
    "another checksum": batch(raw(), wrong=1),
    **{f"a set of messages, format {magic}": message_set(b"x", magic) for magic in (0, 1)},
    **{f"nothing that codec {codec} has packed": batch(b"garbage " * 4, codec=codec) for codec in range(1, 8)},
}
"""Batches that no reader can meet."""


@pytest.fixture
def twenty(log_copy: LogCopy) -> LogCopy:
    """A log of 20 events."""
    log_copy.admit()
    log_copy.append_together(*(record() for _ in range(20)))
    return log_copy


def put_on_events(copy: LogCopy, *batches: bytes) -> None:
    for written in batches:
        put(copy.settings.kafka, copy.topic, written)


def test_views_read_all_events_around_them(twenty: LogCopy) -> None:
    put_on_events(twenty, *ON_EVENTS.values())
    publish(twenty, range(1, 11))
    for number, written in enumerate(ON_EVENTS.values(), 11):
        put_on_events(twenty, written)
        publish(twenty, range(min(number, 20), min(number, 20) + 1))
    publish(twenty, range(11, 21))
    put_on_events(twenty, *ON_EVENTS.values())
    counted = foreign()
    with tallying(twenty) as part:
        until(lambda: len(tally(twenty)) == 20)
        until(lambda: foreign() - counted >= 3 * len(ON_EVENTS))

    assert tally(twenty) == list(range(1, 21))
    assert position(twenty) == 20
    assert part.said.code == ""
    assert foreign() - counted == 3 * len(ON_EVENTS)


@pytest.mark.parametrize("name", ON_EVENTS)
def test_each_is_counted_once_and_what_lies_behind_it_is_read(twenty: LogCopy, name: str) -> None:
    publish(twenty, range(1, 8))
    put_on_events(twenty, ON_EVENTS[name])
    publish(twenty, range(8, 21))

    reader = twenty.reader()
    read = [published.value for published in reader.published()]
    reader.close()

    assert read == twenty.stored()
    assert reader.foreign == 1


def test_an_audit_replays_every_record(twenty: LogCopy) -> None:
    publish(twenty, range(1, 11))
    put_on_events(twenty, *ON_EVENTS.values())
    publish(twenty, range(11, 21))
    put_on_events(twenty, *ON_EVENTS.values())

    reader = twenty.reader()
    replayed = [found.position for found in reader.records()]
    reader.close()

    assert replayed == list(range(1, 21))


def test_a_relay_started_anew_agrees_and_publishes(twenty: LogCopy) -> None:
    put_on_events(twenty, *ON_EVENTS.values())
    with twenty.relaying():
        until(lambda: twenty.read() == twenty.stored())
    put_on_events(twenty, *ON_EVENTS.values())
    more = [record() for _ in range(5)]
    with twenty.relaying() as part:
        twenty.append(*more)
        until(lambda: len(twenty.read()) == 25)

    assert part.said.state == "running"
    assert twenty.read()[20:] == values(more)


def test_the_inbox_answers_what_lies_around_them_and_commits_to_the_end(
    service, settings, publisher: Publisher, answers: Answers
) -> None:
    sent = []
    for partition in range(INBOX_PARTITIONS):
        for written in ON_INBOX.values():
            put(settings.kafka, settings.topic(INBOX), written, partition)
            sent.append(publisher.send("register_subject", BODIES["register_subject"], partition=partition))
        put(settings.kafka, settings.topic(INBOX), ON_INBOX["an offset far off"], partition)
    hostile = (len(ON_INBOX) + 1) * INBOX_PARTITIONS
    with taking(service, settings) as part:
        outcomes = answered(answers, *sent)
        until(lambda: answers.committed() >= len(sent) + hostile)

    assert {outcome["status"] for outcome in outcomes} == {"accepted"}
    assert answers.committed() == len(sent) + hostile
    assert len(answers.dead_letters()) == hostile
    assert part.said.code == ""


def test_a_record_of_too_many_headers_takes_no_message_of_its_batch_with_it(
    service, settings, publisher: Publisher, answers: Answers
) -> None:
    """As where something between publisher and broker packs the messages of several into one batch."""
    ids = [str(uuid4()), str(uuid4())]
    head = {"command": "register_subject", "actor": "forms-1", "purpose": "intake", "data": BODIES["register_subject"]}
    first, third = (publisher.seal({"message_id": message_id, **head}) for message_id in ids)
    content = raw(first, ids[0].encode()) + raw(headers=[(b"", None)] * 101, delta=1)
    content += raw(third, ids[1].encode(), delta=2)
    put(settings.kafka, settings.topic(INBOX), batch(content, 3))
    with taking(service, settings):
        outcomes = answered(answers, *ids)
        until(lambda: answers.committed() >= 3)

    assert [outcome["status"] for outcome in outcomes] == ["accepted"] * 2
    assert answers.committed() == 3
    assert len(answers.dead_letters()) == 1


@pytest.mark.parametrize("deltas", [(0, 0), (1, 0), (0, 1_000_000), (0, -1)], ids=str)
def test_offsets_in_disorder_do_not_move_the_inbox_elsewhere(
    service, settings, publisher: Publisher, answers: Answers, deltas: tuple[int, int]
) -> None:
    sent = publisher.send("register_subject", BODIES["register_subject"], partition=0)
    content = b"".join(raw(delta=delta) for delta in deltas)
    put(settings.kafka, settings.topic(INBOX), batch(content, len(deltas)))
    with taking(service, settings):
        answered(answers, sent)
        until(lambda: answers.committed() >= 3)

    assert answers.committed() == 3


@pytest.mark.parametrize("topic", [EVENTS, INBOX])
def test_the_rest_is_refused_by_the_broker(settings, topic: str) -> None:
    kept = []
    for name, written in REFUSED.items():
        try:
            put(settings.kafka, settings.topic(topic), written)
        except Refused:
            continue
        kept.append(name)

    assert kept == []


def zeros(size: int) -> bytes:
    """Return a batch of one record, a value of so many zeros."""
    before = BEFORE_KEY + NO_KEY + varint(size)
    frame = lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False)
    content = [frame.begin(), frame.compress(varint(len(before) + size + 1) + before)]
    content += [frame.compress(bytes(min(4 * MIB, size - at))) for at in range(0, size, 4 * MIB)]
    return batch(b"".join([*content, frame.compress(b"\x00"), frame.flush()]), codec=LZ4)


GROWING = {
    "one batch of 400 MiB": [zeros(400 * MIB)],
    "64 batches of 4 MiB": [zeros(4 * MIB - 64)] * 64,
    "16 batches of two million headers": [batch(packed(claiming(2_000_000)), codec=LZ4)] * 16,
}


@pytest.mark.parametrize("name", GROWING)
def test_what_grows_when_it_is_opened_takes_no_more_memory_than_other_records(twenty: LogCopy, name: str) -> None:
    publish(twenty, range(1, 11))
    put_on_events(twenty, *GROWING[name])
    publish(twenty, range(11, 21))
    arguments = [sys.executable, str(READER), twenty.settings.kafka, twenty.topic]
    done = subprocess.run(arguments, check=False, capture_output=True, timeout=120, text=True)

    assert done.returncode == 0, done.stderr[-500:]
    said = json.loads(done.stdout)
    assert said["positions"] == list(range(1, 21))
    assert said["foreign"] == len(GROWING[name])
    assert said["grown"] < 96 * MIB


def test_gzip_and_plain_batches_are_packed_anew_and_read(twenty: LogCopy) -> None:
    publish(twenty, range(1, 11))
    put_on_events(twenty, batch(gzip.compress(raw()), codec=GZIP), batch(raw(), codec=PLAIN))
    publish(twenty, range(11, 21))

    reader = twenty.reader()
    assert len(list(reader.published())) == 20
    assert reader.foreign == 2
    reader.close()
