"""The keys of idempotency records, kept for a while by a process and asked for by all its threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from application import idempotency
from application.idempotency import IdempotencyKeys
from vault.vault import Vault

THREADS = 8
CALLS = 4000
DAYS = 400


class OneSecretEach:
    """A vault's secrets: each is its own name."""

    def secret(self, name: str) -> bytes:
        return name.encode()


@pytest.fixture
def threads_that_alternate() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_that_alternate")
def test_threads_whose_keys_have_expired_read_them_again_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "LONGEST_CACHE_SECONDS", 0.005)
    keys = IdempotencyKeys(cast(Vault, OneSecretEach()))

    def ask(thread: int) -> set[bytes]:
        days = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n % DAYS) for n in range(CALLS))
        return {keys.body_mac(keys.day(day), "register_subject", {}, {}) for day in days}

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(ask, range(THREADS)))

    assert [len(macs) for macs in answers] == [DAYS] * THREADS
