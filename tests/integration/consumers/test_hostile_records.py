"""What strangers put on the events topic is told apart, counted and passed over; nobody's view is held up by it."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from hostile import COMPRESSIBLE, MARK, Headers, NotUtf8, Stranger, logged, of_another_key, packing_with_zstd
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from kafka.errors import MessageSizeTooLargeError
from log_copy import MAC_KEY, LogCopy, record
from tally import position, tally, tallying
from test_runner import publish

from application import metrics
from consumers.published import RecordMac
from consumers.topics import EVENTS, INBOX
from tests.waiting import until

MIB = 1024 * 1024
MARKED = json.dumps({"given_name": MARK}).encode()


@pytest.fixture
def twenty(log_copy: LogCopy) -> LogCopy:
    """A log of 20 events, the first ten published."""
    log_copy.admit()
    log_copy.append_together(*(record() for _ in range(20)))
    publish(log_copy, range(1, 11))
    return log_copy


@pytest.fixture
def stranger(settings) -> Stranger:
    made = Stranger(settings, compression_type="lz4")
    yield made
    made.close()


Written = tuple[bytes | None, bytes | None, Headers]


def hostile(copy: LogCopy, at: int) -> dict[str, Written]:
    """Return records about a position of ours: key, value, headers."""
    stored = copy.log.read_from(at, 1)[0]
    key, value = str(stored.stream_id).encode(), stored.record
    genuine = copy.mac.headers(at, key, value, stored.type, 1)
    named = dict(genuine)

    def but(**changed: bytes | None) -> Headers:
        return list({**named, **{f"ck-{name}": to for name, to in changed.items()}}.items())

    return {
        "nothing but text": (None, MARK.encode(), ()),
        "no value": (key, None, genuine),
        "no key": (None, value, genuine),
        "no headers": (key, value, ()),
        "another value": (key, MARKED, genuine),
        "another stream": (str(uuid4()).encode(), value, genuine),
        "an old key": (key, value, of_another_key(at, value, stored.stream_id)[1]),
        "no code": (key, value, [h for h in genuine if h[0] != "ck-mac"]),
        "an empty code": (key, value, but(mac=b"")),
        "a code in capitals": (key, value, but(mac=named["ck-mac"].upper())),
        "another code": (key, value, but(mac=MARK.encode() * 6)),
        "another type": (key, value, but(type=b"ErasureApproved")),
        "another schema": (key, value, but(schema=b"2")),
        "no position": (key, value, [h for h in genuine if h[0] != "ck-position"]),
        "the next position": (key, value, but(position=str(at + 1).encode())),
        "beyond the head": (key, value, but(position=b"1000000")),
        "below one": (key, value, but(position=b"-1")),
        "no number": (key, value, but(position="\uff15".encode())),
        "too many digits": (key, value, but(position=b"9" * 400)),
        "position twice": (key, value, [*genuine, ("ck-position", str(at + 1).encode())]),
        "every header twice": (key, value, [*genuine, *genuine]),
        "a name that is no UTF-8": (key, COMPRESSIBLE, [*genuine, (NotUtf8(MARK), MARK.encode())]),
        "a thousand headers": (key, MARKED, [(f"{MARK}-{n}", b"x" * 100) for n in range(1000)]),
        "deep": (key, b"[" * 200_000, genuine),
        "8 MiB": (key, MARK.encode() * (8 * MIB // len(MARK)), genuine),
    }


def test_nothing_a_stranger_writes_is_taken_for_an_event_or_holds_one_up(twenty: LogCopy, stranger: Stranger) -> None:
    before = [stranger.put(EVENTS, value, key, headers) for key, value, headers in hostile(twenty, 11).values()]
    publish(twenty, range(11, 16))
    after = [stranger.put(EVENTS, value, key, headers) for key, value, headers in hostile(twenty, 12).values()]
    publish(twenty, range(16, 21), range(3, 8))
    counted = foreign()
    with logged() as log, tallying(twenty) as part:
        until(lambda: len(tally(twenty)) == 20)
        until(lambda: foreign() - counted >= len(before) + len(after))

    assert tally(twenty) == list(range(1, 21))
    assert position(twenty) == 20
    assert part.said.code == ""
    assert foreign() - counted == len(before) + len(after)
    assert MARK not in log.getvalue()


def foreign() -> float:
    """Return how many foreign records views have met, as the metrics say."""
    found = metrics.FOREIGN_RECORDS._child(("other",))
    return float(found._value.get())


@pytest.mark.parametrize("topic", [EVENTS, INBOX])
def test_a_batch_packed_as_nobody_here_can_open_it_is_packed_anew(twenty: LogCopy, topic: str) -> None:
    with packing_with_zstd():
        stranger = Stranger(twenty.settings, compression_type="zstd")
        stranger.put(topic, COMPRESSIBLE)
        stranger.close()
    publish(twenty, range(11, 21))

    reader = twenty.reader()
    reader._partition = reader._partition._replace(topic=twenty.settings.topic(topic))
    read = list(reader.published())
    reader.close()

    assert reader.foreign == 1
    assert [published.position for published in read] == (list(range(1, 21)) if topic == EVENTS else [])


@pytest.mark.parametrize(
    ("topic", "value"),
    [(EVENTS, bytes(range(256)) * 32768), (INBOX, MARK.encode() * (8 * MIB // len(MARK)))],
    ids=["on events, not to be compressed", "on the inbox, however it is compressed"],
)
def test_eight_mebibytes_are_refused_by_the_broker(settings, topic: str, value: bytes) -> None:
    stranger = Stranger(settings, compression_type="lz4" if topic == INBOX else None)
    with pytest.raises(MessageSizeTooLargeError):
        stranger.put(topic, value)
    stranger.close()


class Message:
    """A consumed message, as the client library gives it."""

    def __init__(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        self.key, self.value, self.headers, self.offset = key, value, list(headers), 0


MAC = RecordMac(MAC_KEY)
EVENT = record()
GENUINE = (
    str(EVENT.stream_id).encode(),
    EVENT.record,
    MAC.headers(7, str(EVENT.stream_id).encode(), EVENT.record, EVENT.type, 1),
)


@st.composite
def mutated(draw: st.DrawFn) -> Written:
    """Return a genuine record in which a byte of key, value or a header was changed, put in or taken out."""
    key, value, headers = GENUINE
    parts = [key, value, *(text for _, text in headers)]
    which = draw(st.integers(0, len(parts) - 1))
    at = draw(st.integers(0, len(parts[which]) - 1))
    put = draw(st.sampled_from([b"", b"\x00", b"0", b"9", b"}", b"\xff"]) | st.binary(max_size=3))
    taken = draw(st.integers(0, 2))
    parts[which] = parts[which][:at] + put + parts[which][at + taken :]
    return parts[0], parts[1], [(name, text) for (name, _), text in zip(headers, parts[2:], strict=True)]


@examples(max_examples=500, deadline=None)
@given(mutated())
def test_a_record_of_which_any_byte_differs_is_foreign(written: Written) -> None:
    changed = (written[0], written[1], list(written[2])) != (GENUINE[0], GENUINE[1], list(GENUINE[2]))
    found = MAC.verified(Message(*written))

    assert (found is None) == changed
    if found is not None:
        assert (found.position, found.value) == (7, EVENT.record)
