"""Asking a running copy how it is, over HTTP on its own address."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any


def ready_report(url: str, seconds: float = 5.0) -> dict[str, Any] | None:
    """Return what ``/health/ready`` says (``ready``, ``views``, ``degraded``), ready or not; None if nobody answers."""
    try:
        with _OPENER.open(f"{url}/health/ready", timeout=seconds) as answer:
            return _report(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _report(refusal.read())
    except (OSError, http.client.HTTPException):
        return None


def says_ready(url: str) -> bool:
    """Tell whether the copy at ``url`` says that it is ready."""
    report = ready_report(url)
    return report is not None and report.get("ready") is True


def _report(body: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(body)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


# A proxy of the environment must not stand between a copy and its own loopback address.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
