"""HTTP calls of the demonstration, as people in different roles, each call safe to repeat."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from api.dev_tokens import DevIssuer

_TIMEOUT_SECONDS = 30.0
_RETRY_FOR_SECONDS = 60.0
# A proxy of the environment must not stand between a copy and its own loopback address.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Who:
    """Somebody with an opaque id, in one role, for one purpose of use."""

    actor: str
    role: str
    purpose: str


class Refused(Exception):
    """The service said no; ``slug`` ends the problem's type."""

    def __init__(self, status: int, slug: str) -> None:
        super().__init__(f"{status} {slug}")
        self.status = status
        self.slug = slug


class Calls:
    """Calls one running copy; what it asks to retry is retried for a minute."""

    def __init__(self, url: str, issuer: DevIssuer) -> None:
        self._url = url
        self._issuer = issuer

    def post(self, who: Who, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Return the answer to a write under an idempotency key. Raises :class:`Refused`."""
        return self._call(who, "POST", path, json.dumps(body).encode(), {"Idempotency-Key": f"demo-{key}"})

    def get(self, who: Who, path: str) -> dict[str, Any]:
        """Return the answer to a read. Raises :class:`Refused`."""
        return self._call(who, "GET", path, None, {})

    def _call(self, who: Who, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
        token = self._issuer.issue(who.actor, [who.role], who.purpose, 600)
        headers = {**headers, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        deadline = time.monotonic() + _RETRY_FOR_SECONDS
        while True:
            request = urllib.request.Request(f"{self._url}{path}", body, headers, method=method)  # noqa: S310
            try:
                with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                with error:
                    pause = error.headers.get("Retry-After")
                    if pause is None or time.monotonic() > deadline:
                        raise Refused(error.code, _slug(error.read())) from None
            except OSError:
                pause = "1"
                if time.monotonic() > deadline:
                    raise click.ClickException("the service does not answer over HTTP") from None
            time.sleep(float(pause))


def _slug(body: bytes) -> str:
    try:
        return str(json.loads(body)["type"]).rpartition(":")[2]
    except (ValueError, KeyError, TypeError):
        return "unknown"
