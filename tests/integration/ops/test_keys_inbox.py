"""``casekeeper keys inbox``, as an operator types it after the newest keyring was lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from application import inbox_keys
from application.settings import Settings
from application.wiring import build_service, now, open_vault
from domain.errors import KeyringMismatch
from tests.keys_story import casekeeper, closed, new_installation


@pytest.fixture
def settings(pg_main: str, pg_keys: str, new_database: Callable[..., str], tmp_path: Path) -> Settings:
    return new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "home")


def test_lost_keys_are_given_up_once_that_is_asked_for_in_so_many_words(settings: Settings) -> None:
    closed(build_service(settings))
    with closing(open_vault(settings)) as vault:
        kept, lost = (inbox_keys.rotate(vault, now() - timedelta(hours=age)) for age in (1, 2))
        vault.destroy_secret(f"inbox-key-{lost}")
        secret = inbox_keys.private_key(vault, kept, now(), now())
        unasked = casekeeper(settings, "keys", "inbox")
        with pytest.raises(KeyringMismatch):
            inbox_keys.private_key(vault, lost, now(), now())
        done = casekeeper(settings, "keys", "inbox", "--give-up-missing")

        assert (unasked.returncode, done.returncode) == (2, 0), done.stderr
        assert inbox_keys.private_key(vault, lost, now(), now()) is None
        assert inbox_keys.private_key(vault, kept, now(), now()) == secret
        assert done.stdout.strip().endswith(inbox_keys.current_kid(vault, now()))
