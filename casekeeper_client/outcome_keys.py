"""The keys that the service signs outcomes with: given once, or had again and again from where they are published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

from joserfc.jwk import OKPKey

from casekeeper_client.errors import InvalidKey
from casekeeper_client.fetching import Unfetched, fetched, is_address
from casekeeper_client.sealing import public_key

Source = Mapping[str, Any] | str | Callable[[], Mapping[str, Any]]
TRUSTED_SECONDS = 600.0
"""How long keys are trusted after they were had: so long at most does one that the service gave up go on counting."""
PAUSE_SECONDS = 10.0
"""Keys are had again no sooner than this after the last time, whatever key a stranger's record names."""
_BESIDE_INBOX_KEY = "outcome-keys"


class OutcomeKeys:
    """The keys by their ids. ``source``: a JWK set, an ``http(s)`` address of one, or a call that returns one.

    For one thread. Raises ``InvalidKey`` when what is given is none of these.
    """

    def __init__(self, source: Source) -> None:
        if isinstance(source, str) and not is_address(source):
            raise InvalidKey("the outcome keys are a JWK set, an http address of one, or a call")
        self._ask: Callable[[], Any] | None = None
        self._keys: dict[str, OKPKey] = {}
        self._trusted_until = self._due = 0.0
        if isinstance(source, Mapping):
            self._keys = _usable(source)
            self._trusted_until = float("inf")
        else:
            self._ask = source if callable(source) else lambda: fetched(source)

    def find(self, kid: str) -> OKPKey | None:
        """Return a key by its id; ``None`` when it is not known, or was had too long ago."""
        return self._keys.get(kid) if time.monotonic() < self._trusted_until else None

    def renew(self) -> bool:
        """Have the keys anew, unless that was tried a moment ago; return whether they are.

        Raises :class:`Unfetched` when they cannot be had now.
        """
        if self._ask is None:
            return True
        if time.monotonic() < self._due:
            return False
        try:
            self._keys = _usable(self._ask())
        except Exception:
            # Whatever a call raises that somebody gave us, the reading of outcomes must go on.
            raise Unfetched from None
        finally:
            self._due = time.monotonic() + PAUSE_SECONDS
        self._trusted_until = time.monotonic() + TRUSTED_SECONDS
        return True


def beside(inbox_key: Mapping[str, str] | str) -> str:
    """Return the address of the outcome keys that belongs to one of the inbox key. Raises ``InvalidKey``."""
    if not isinstance(inbox_key, str):
        raise InvalidKey("where the inbox key is given as a JWK, the outcome keys must be given, too")
    return urljoin(inbox_key, _BESIDE_INBOX_KEY)


def _usable(jwks: Any) -> dict[str, OKPKey]:
    """Return the keys of a JWK set that a signature can be checked with. Raises ``InvalidKey`` when there is none."""
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    usable: dict[str, OKPKey] = {}
    for jwk in listed if isinstance(listed, list | tuple) else ():
        if isinstance(jwk, Mapping) and isinstance(jwk.get("kid"), str) and jwk.get("crv") == "Ed25519":
            usable[jwk["kid"]] = public_key(jwk)
    if not usable:
        raise InvalidKey("there is no Ed25519 key in what was given as outcome keys")
    return usable
