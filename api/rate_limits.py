"""How often a caller may call: token buckets in each process, bounded in number, and the refusal they lead to.

Calls with a valid token or session count against their caller, all others against the address they come from, failed
attempts to sign in against a tighter limit of that address. What limits a whole installation belongs in the proxy.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from werkzeug.exceptions import TooManyRequests

from application.settings import Settings, variable
from domain.errors import SettingInvalid

MOST_KEYS = 10_000
"""Most buckets kept for one limit; beyond, the one that was used longest ago is forgotten, and is full again."""


@dataclass(frozen=True)
class Limit:
    """A limit as ``RateLimit-Policy`` states it: ``burst`` calls in ``seconds`` seconds, refilled evenly."""

    name: str
    burst: int
    seconds: float

    @property
    def policy(self) -> str:
        """Return the header's item (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.name}";q={self.burst};w={math.ceil(self.seconds)}'


class RateLimited(TooManyRequests):
    """A bucket is empty; ``retry_after`` in whole seconds."""

    def __init__(self, limit: Limit, wait: float) -> None:
        super().__init__()
        self.limit = limit
        self.retry_after: int = max(1, math.ceil(wait))


class Buckets:
    """One bucket for each key: full at first, refilled as time passes, one call taken at a time."""

    def __init__(self, limit: Limit, clock: Callable[[], float] = time.monotonic, most: int = MOST_KEYS) -> None:
        self.limit = limit
        self._clock = clock
        self._most = most
        self._rate = limit.burst / limit.seconds
        self._lock = threading.Lock()
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._left)

    def take(self, key: Hashable) -> None:
        """Take one call. Raises :class:`RateLimited` when there is none."""
        with self._lock:
            now = self._clock()
            had, since = self._left.pop(key, (float(self.limit.burst), now))
            full = min(float(self.limit.burst), had + (now - since) * self._rate)
            self._left[key] = (full - 1 if full >= 1 else full, now)
            while len(self._left) > self._most:
                self._left.popitem(last=False)
        if full < 1:
            raise RateLimited(self.limit, (1 - full) / self._rate)


class RateLimits:
    """The limits of one process, from its settings. Raises :class:`SettingInvalid` when one is no whole number."""

    def __init__(self, settings: Settings) -> None:
        self._caller = _buckets(settings, "rate_caller", "caller", 2.0, 2)
        self._peer = _buckets(settings, "rate_peer", "peer", 2.0, 2)
        self._signin = _buckets(settings, "rate_signin", "signin", 60.0, 1)

    def caller(self, issuer: str, subject: str) -> None:
        """Count a call with a valid token. Raises :class:`RateLimited`."""
        if self._caller is not None:
            self._caller.take((issuer, subject))

    def peer(self, address: str) -> None:
        """Count a call without one. Raises :class:`RateLimited`."""
        if self._peer is not None:
            self._peer.take(address)

    def failed_signin(self, address: str) -> None:
        """Count an attempt that failed. Raises :class:`RateLimited`."""
        if self._signin is not None:
            self._signin.take(address)


def _buckets(settings: Settings, field: str, name: str, seconds: float, times: int) -> Buckets | None:
    text = getattr(settings, field)
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise SettingInvalid(f"{variable(field)} must be a whole number; 0 for no limit")
    return Buckets(Limit(name, int(text) * times, seconds)) if int(text) else None
