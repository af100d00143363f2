"""The suppression list: recognises what was entered, until its year's key is destroyed, and keeps nothing readable."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.errors import KeysUnavailable
from vault.change_file import ChangeFolder
from vault.change_replay import replay

NOW = datetime(2026, 11, 27, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)


def test_what_was_entered_is_recognised_by_every_process(keys, vault):
    expires_at = vault.suppression.enter([b"ada", b"mail"], NOW)
    other = keys.open()

    assert expires_at == END
    assert other.suppression.has_any([b"somebody", b"mail"], NOW)
    assert not other.suppression.has_any([b"somebody"], NOW)
    assert not other.suppression.has_any([], NOW)


def test_before_the_first_entry_nothing_is_asked_and_no_key_is_made(vault):
    before = vault.secrets()

    assert not vault.suppression.has_any([b"ada"], NOW)
    assert vault.secrets() == before


def test_an_entry_made_twice_is_one_and_is_a_keyed_mac_without_anybody_beside_it(keys, vault):
    vault.suppression.enter([b"ada"], NOW)
    vault.suppression.enter([b"ada"], NOW)

    expected = hmac.new(vault.secret("suppression-2026"), b"ada", hashlib.sha256).digest()
    rows = keys.sql("SELECT mac, expires_at FROM suppression")
    assert [(bytes(mac), expires_at) for mac, expires_at in rows] == [(expected, END)]
    columns = keys.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'suppression' "
        "AND table_schema = current_schema() ORDER BY 1"
    )
    assert columns == [("expires_at",), ("mac",)]


def test_entries_of_two_years_are_recognised_and_go_one_after_the_other(keys, vault):
    vault.suppression.enter([b"ada"], NOW)
    vault.suppression.enter([b"bob"], datetime(2027, 1, 1, tzinfo=UTC))
    before_the_end = vault.suppression.destroy_expired(datetime(2027, 12, 31, 23, 59, tzinfo=UTC))
    both = [vault.suppression.has_any([name], NOW) for name in (b"ada", b"bob")]

    gone = vault.suppression.destroy_expired(END)

    assert (before_the_end, both, gone) == ([], [True, True], ["suppression-2026"])
    assert [vault.suppression.has_any([name], NOW) for name in (b"ada", b"bob")] == [False, True]
    assert len(keys.sql("SELECT mac FROM suppression")) == 1


def test_an_entry_past_its_time_is_not_recognised_though_its_key_is_there_still(vault):
    vault.suppression.enter([b"ada"], NOW)

    assert not vault.suppression.has_any([b"ada"], END)


def test_a_row_brought_back_after_the_key_is_destroyed_is_not_recognised(keys, vault):
    vault.suppression.enter([b"ada"], NOW)
    [(mac, _)] = keys.sql("SELECT mac, expires_at FROM suppression")
    vault.suppression.destroy_expired(END)
    keys.sql("INSERT INTO suppression VALUES (%s, '2100-01-01')", bytes(mac))
    vault.suppression.enter([b"bob"], END)

    assert not vault.suppression.has_any([b"ada"], END)


def test_a_keyring_out_of_reach_is_an_outage(keys, vault):
    vault.suppression.enter([b"ada"], NOW)
    keys.folder.rename(keys.folder.parent.parent / f"away-{uuid4()}")

    with pytest.raises(KeysUnavailable):
        vault.suppression.has_any([b"ada"], NOW)


def test_an_entry_is_in_the_key_change_log_when_it_is_made_and_gone_from_what_it_stands_for_when_it_expires(
    keys, tmp_path
):
    vault = keys.open(changes=tmp_path / "keys-log")
    vault.suppression.enter([b"ada"], NOW)
    logged = replay(ChangeFolder(tmp_path / "keys-log")).rows["suppression"]
    mac = hmac.new(vault.secret("suppression-2026"), b"ada", hashlib.sha256).hexdigest()
    vault.suppression.destroy_expired(END)
    left = replay(ChangeFolder(tmp_path / "keys-log")).rows["suppression"]
    vault.close()

    assert set(logged) == {f"\\x{mac}"}
    assert left == {}
