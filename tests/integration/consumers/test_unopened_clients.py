"""A client that no server answers leaves no thread and no selector behind, however often it is tried."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from casekeeper_client import Client, new_key_pair
from consumers import clients
from domain.errors import KafkaUnavailable
from tests.waiting import until

NOBODY = "127.0.0.1:1"
TRIES = 3


def publishing() -> Client:
    """A client for publishers; the key of the inbox is not used before something is published."""
    private, public = new_key_pair()
    inbox_key = {"kty": "OKP", "crv": "X25519", "kid": "1", "x": public}
    keys = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": public}]}
    return Client(NOBODY, inbox_key, uuid4(), private, outcome_keys=keys, kafka={"bootstrap_timeout_ms": 200})


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: clients.consumer(NOBODY), KafkaUnavailable),
        (lambda: clients.producer(NOBODY), KafkaUnavailable),
        (lambda: clients.admin(NOBODY), KafkaUnavailable),
        (publishing, KafkaError),
    ],
    ids=["consumer", "producer", "admin", "the client of publishers"],
)
def test_it_leaves_nothing_behind(
    make: Callable[[], Any], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 200)
    before = held()
    for _ in range(TRIES):
        with pytest.raises(error):
            make()

    until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), 10, "all let go")


def test_the_library_by_itself_leaves_a_thread_behind() -> None:
    """Where this fails, the library was mended, and ``casekeeper_client.opening`` can go."""
    begun: list[KafkaNetClient] = []
    threads, _ = held()
    with pytest.raises(KafkaError):
        KafkaConsumer(
            bootstrap_servers=NOBODY,
            bootstrap_timeout_ms=200,
            kafka_client=lambda **settings: begun.append(KafkaNetClient(**settings)) or begun[-1],
        )
    left = held()[0] - threads
    begun[0].close()

    assert left == 1


def held() -> tuple[int, int]:
    """Return how many threads this process has, and how many selectors (epoll)."""
    selectors = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            selectors += "eventpoll" in os.readlink(descriptor)
    return threading.active_count(), selectors
