import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import EventTooLarge, Tampered
from vault.padding import LARGEST, pad, size_class, unpad


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, 256),
        (255, 256),
        (256, 384),
        (383, 384),
        (384, 512),
        (511, 512),
        (512, 768),
        (1024, 1536),
        (1536, 2048),
        (200_000, 262_144),
        (393_215, 393_216),
    ],
)
def test_the_class_holds_the_plaintext_and_one_marker(length, expected):
    assert size_class(length) == expected


def test_there_are_22_classes():
    assert len({size_class(length) for length in range(0, LARGEST, 64)} | {LARGEST}) == 22


def test_what_does_not_fit_the_largest_class_is_refused_with_its_size():
    with pytest.raises(EventTooLarge) as refused:
        pad(bytes(LARGEST))

    assert (refused.value.size, refused.value.limit) == (393_216, 393_215)


@given(st.binary(max_size=3000) | st.lists(st.sampled_from([0x00, 0x80]), max_size=600).map(bytes))
def test_padding_comes_off_exactly(plaintext):
    padded = pad(plaintext)

    assert unpad(padded) == plaintext
    assert padded.startswith(plaintext + b"\x80")
    assert len(padded) <= max(256, 1.5 * (len(plaintext) + 1))


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        bytes(256),
        b"a" * 256,
        b"a" * 254 + b"\x80\x01",
        b"a\x80" + bytes(253),
        b"a\x80" + bytes(255),
        b"a\x80" + bytes(382),
        b"\x80" + bytes(LARGEST),
        b"a" * LARGEST + b"\x80",
    ],
    ids=["empty", "no marker", "only text", "after marker", "short", "long", "too high a class", "huge", "huge text"],
)
def test_any_other_padding_is_tampering(padded):
    with pytest.raises(Tampered):
        unpad(padded)
