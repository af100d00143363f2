"""Tags, epochs and the date on the certificate; tags are computed here with the standard library alone."""

from __future__ import annotations

import hashlib
import hmac
import struct
from datetime import UTC, datetime, timedelta

import pytest

from vault import blind_index

KEY = bytes(range(32))
DAY = timedelta(days=1)
START = datetime(1970, 1, 1, tzinfo=UTC)


class Kept:
    """Secrets in memory."""

    def __init__(self, *names: str) -> None:
        self.names = dict.fromkeys(names, b"\7" * 32)

    def secret(self, name: str) -> bytes:
        return self.names.setdefault(name, b"\7" * 32)

    def secrets(self) -> list[str]:
        return sorted(self.names)

    def destroy_secret(self, name: str) -> None:
        self.names.pop(name, None)


def expected(field: bytes, term: bytes) -> int:
    items = (b"casekeeper/index/1", field, term)
    message = b"".join(struct.pack(">I", len(item)) + item for item in items)
    return struct.unpack(">i", hmac.new(KEY, message, hashlib.sha256).digest()[:4])[0]


@pytest.mark.parametrize(("field", "term"), [("given_name", "ada"), ("phone", "79460018"), ("family_name", "\u738b")])
def test_a_tag_is_a_truncated_hmac_of_field_and_term(field, term):
    assert blind_index.tag(KEY, field, term) == expected(field.encode(), term.encode())


def test_a_tag_depends_on_key_field_and_term():
    found = {
        blind_index.tag(KEY, "given_name", "ada"),
        blind_index.tag(KEY, "family_name", "ada"),
        blind_index.tag(KEY, "given_name", "adb"),
        blind_index.tag(KEY[::-1], "given_name", "ada"),
        blind_index.tag(KEY, "given_namea", "da"),
    }
    assert len(found) == 5
    assert blind_index.tags(KEY, {"email": "a@b"}) == {"email": expected(b"email", b"a@b")}


@pytest.mark.parametrize(
    ("moment", "days", "epoch"),
    [
        (START, 30, 30),
        (START + 30 * DAY - timedelta(microseconds=1), 30, 30),
        (START + 30 * DAY, 30, 60),
        (START + 100 * DAY, 1, 101),
        (datetime(2026, 11, 27, 20, 0, tzinfo=UTC), 7, 20790),
    ],
)
def test_an_epoch_is_named_by_the_day_it_ends(moment, days, epoch):
    assert blind_index.epoch_at(moment, days) == epoch
    assert blind_index.end_of(epoch) == START + epoch * DAY
    assert moment < blind_index.end_of(epoch) <= moment + days * DAY


def test_an_epoch_is_over_at_its_end_and_when_epochs_became_shorter():
    now = START + 35 * DAY
    assert not blind_index.is_over(60, now, 30)
    assert blind_index.is_over(60, START + 60 * DAY, 30)
    assert blind_index.is_over(60, now, 7)
    # Made longer: the one in force keeps its end.
    assert not blind_index.is_over(42, now, 30)


def test_only_index_keys_of_other_epochs_are_destroyed():
    kept = Kept("index-30", "index-60", "index-90", "form-token", "index-x", "body-mac-2026-01-01")

    assert blind_index.kept_epochs(kept) == {30, 60, 90}
    assert blind_index.destroy_others(kept, {30, 60, 90}, {60}) == [30, 90]
    assert kept.secrets() == ["body-mac-2026-01-01", "form-token", "index-60", "index-x"]
    assert blind_index.destroy_others(kept, {60}, {60}) == []


def test_a_key_that_was_made_after_the_keys_were_listed_is_not_destroyed():
    kept = Kept("index-30", "index-60")
    listed = blind_index.kept_epochs(kept)
    blind_index.index_key(kept, 90)

    assert blind_index.destroy_others(kept, listed, {60}) == [30]
    assert kept.secrets() == ["index-60", "index-90"]


@pytest.mark.parametrize("names", [(), ("index-30",), ("index-60",), ("index-30", "index-60")])
def test_residue_ends_a_day_after_the_epoch_whatever_keys_there_are_meanwhile(names):
    purged = START + 29 * DAY
    assert blind_index.residue_until(Kept(*names), purged, purged, 30) == START + 31 * DAY


def test_a_key_that_is_overdue_moves_the_date_on():
    purged, now = START + 29 * DAY, START + 40 * DAY

    assert blind_index.residue_until(Kept("index-30", "index-60"), purged, now, 30) == now + DAY
    assert blind_index.residue_until(Kept("index-60"), purged, now, 30) == START + 31 * DAY
