"""The service's current inbox key: given once as a JWK, or fetched from its address and refreshed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from casekeeper_client.errors import InboxKeyUnavailable
from casekeeper_client.fetching import Unfetched, fetched, is_address

REFRESH_SECONDS = 600.0
"""How long a fetched key is used. The service accepts messages to a key for over a day after it was replaced."""


class InboxKey:
    """Where the key comes from: a JWK (``kty`` OKP, ``crv`` X25519, ``kid``), or an ``http(s)`` address of one."""

    def __init__(self, source: Mapping[str, str] | str) -> None:
        if isinstance(source, str) and not is_address(source):
            raise InboxKeyUnavailable("the inbox key is a JWK or an http address")
        self._source = source if isinstance(source, str) else _jwk(dict(source))
        self._fetched: Mapping[str, str] | None = None
        self._due = 0.0

    def current(self) -> Mapping[str, str]:
        """Return the key to encrypt to. Raises ``InboxKeyUnavailable``."""
        if not isinstance(self._source, str):
            return self._source
        if self._fetched is None or time.monotonic() >= self._due:
            self._fetched = _jwk(_fetch(self._source))
            self._due = time.monotonic() + REFRESH_SECONDS
        return self._fetched


def _fetch(address: str) -> Any:
    try:
        return fetched(address)
    except Unfetched:
        raise InboxKeyUnavailable("the inbox key cannot be fetched") from None


def _jwk(answer: Any) -> Mapping[str, str]:
    """Return the key in an answer: a JWK, or a set of them (RFC 7517, section 5) with the current one first."""
    if isinstance(answer, dict) and isinstance(answer.get("keys"), list) and answer["keys"]:
        answer = answer["keys"][0]
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), str) for name in ("crv", "x", "kid")):
        raise InboxKeyUnavailable("what was given is no inbox key")
    return answer
