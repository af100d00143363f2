"""What the web server loads in its worker process: the application, wired from the settings."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable

import structlog
from flask import Flask

from api.admission import requests_at_once
from api.app import Replay, create_app
from application.logging import configure
from application.settings import Settings
from application.wiring import build_service
from domain.errors import CasekeeperError
from projections.views import Views
from vault.vault import Vault

_FOR_HEALTH = 4
"""Connections to the views beyond one for each request at work."""
_PR_SET_PDEATHSIG = 1


def application(replay_source: Callable[[Settings, Vault], Replay] | None = None) -> Flask:
    """Return the application of this process; ``replay_source`` makes what answers replays, which read Kafka.

    Ends the process when store, keys or issuers cannot be used.
    """
    _die_with_parent()
    settings = Settings.load()
    configure(settings.log_level)
    try:
        service = build_service(settings)
        replay = replay_source(settings, service.vault) if replay_source is not None else None
        return create_app(
            settings, service, Views(settings.views_dsn, size=requests_at_once(settings) + _FOR_HEALTH), replay
        )
    except Exception as error:
        structlog.get_logger("api").critical("api cannot start", error=error)
        # What our own errors say is ours alone, and says more than their class.
        raise SystemExit(f"Error: {error}" if isinstance(error, CasekeeperError) else 1) from None


def _die_with_parent() -> None:
    """Have the kernel kill this worker when the process that started it ends, even by SIGKILL (Linux).

    With SIGKILL: who could cut a graceful stop short is gone, and one that hangs would hold the port for ever.
    """
    parent = multiprocessing.parent_process()
    started_by = os.getppid() if parent is None else parent.pid
    # The worker is forked with the server's own handler, which here would only swallow the signal until the worker
    # sets one itself; while it starts nothing is in flight.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before this process came to ask.
    if os.getppid() != started_by:
        raise SystemExit(1)
