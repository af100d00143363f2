"""What stops a local server from running, said in one line for whoever typed the command."""

from __future__ import annotations


class LocalServerError(Exception):
    """A local server or process cannot be started or kept running; the text says what to do."""
