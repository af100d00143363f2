"""What the web server loads: the application, with replay from the events topic put in."""

from __future__ import annotations

from flask import Flask

from api import serving
from cli.replay_source import replay_source


def application() -> Flask:
    """Return the application of this process. Ends the process when store, keys or issuers cannot be used."""
    return serving.application(replay_source)
