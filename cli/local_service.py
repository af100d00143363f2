"""The service's stores opened for a command, and as whom a command acts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from application.caller import Caller
from application.service import Service
from application.settings import Settings
from application.wiring import build_service

COMMAND_LINE = "command-line"
"""The opaque id under which commands act: who may run them is for the machine's accounts to say."""


@contextmanager
def local_service(settings: Settings) -> Iterator[Service]:
    """Open store and vault for a command. Raises ``StoreUnavailable``, ``KeysUnavailable``."""
    service = build_service(settings)
    try:
        yield service
    finally:
        service.log.close()
        service.vault.close()


def operator() -> Caller:
    """Return the operator at the command line."""
    return Caller("casekeeper", COMMAND_LINE, frozenset({"operator"}), "operations", "cli", uuid4())


def regulator() -> Caller:
    """Return whoever replays the log at the command line."""
    return Caller("casekeeper", COMMAND_LINE, frozenset({"regulator"}), "audit", "cli", uuid4())
