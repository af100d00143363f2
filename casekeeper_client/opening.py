"""Opening kafka-python's clients so that one that cannot be opened leaves nothing behind.

The library (3.0.12) starts its thread before it looks for a server. When none answers it leaves the thread at work,
with its sockets: one more with every try, and each goes on asking when the server is back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kafka.net.compat import KafkaNetClient

T = TypeVar("T")


def opened(make: Callable[..., T], *topics: str, **options: Any) -> T:
    """Return what ``make`` makes of these; where it raises, what it had begun is closed first."""
    begun: list[KafkaNetClient] = []

    def begin(**settings: Any) -> KafkaNetClient:
        begun.append(KafkaNetClient(**settings))
        return begun[-1]

    try:
        return make(*topics, kafka_client=begin, **options)
    except BaseException:
        for client in begun:
            client.close()
        raise
