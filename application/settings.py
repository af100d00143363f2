"""Every setting of the service, read from ``CASEKEEPER_*`` environment variables.

A running local copy writes what it chose (ports, connection strings) to ``runtime.json`` in its home folder,
readable by its owner only; commands typed beside it take from there what the environment does not say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

RUNTIME_FILE = "runtime.json"


@dataclass(frozen=True)
class Settings:
    """Settings with their defaults; each field's variable is ``CASEKEEPER_`` and its name in capitals."""

    home: str = ".casekeeper"
    """Folder of the local state."""
    env: str = "development"
    """``development`` or ``production``: in production no development tokens are issued or accepted."""
    events_dsn: str = ""
    """PostgreSQL connection string of the event store; empty: embedded."""
    views_dsn: str = ""
    """PostgreSQL connection string of the views; empty: embedded."""
    keys_dsn: str = ""
    """PostgreSQL connection string of the keys cluster; empty: embedded."""
    keyring: str = ""
    """Where the root key lives: ``file:/folder``; empty: ``keyring/`` in the home folder."""
    kafka: str = ""
    """Comma-separated bootstrap servers; empty: a local broker."""
    topic_prefix: str = ""
    """Put before every topic and group name, so that copies can share brokers."""
    host: str = "127.0.0.1"
    """Address the API listens on."""
    port: str = ""
    """Port the API listens on; empty: 8080 if free, else any free port."""
    api_processes: str = "1"
    """How many API processes the supervisor starts."""
    demo: str = "1"
    """``0`` leaves out the demonstration set on first start."""
    issuers: str = ""
    """Path of a JSON file ``{issuer: {"alg", "jwk"}}`` of trusted token issuers."""
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the environment, then the running copy's ``runtime.json``, then the defaults."""
        home = Path(environ.get("CASEKEEPER_HOME", cls.home))
        runtime = _runtime_environment(home)
        values: dict[str, str] = {}
        for field in fields(cls):
            name = variable(field.name)
            values[field.name] = environ.get(name) or runtime.get(name) or str(field.default)
        return cls(**{**values, "home": str(home)})

    @property
    def home_path(self) -> Path:
        """Return the home folder as an absolute path."""
        return Path(self.home).resolve()

    @property
    def keyring_path(self) -> Path:
        """Return the folder of the file keyring. Raises ``ValueError`` for any other form."""
        if not self.keyring:
            return self.home_path / "keyring"
        scheme, _, folder = self.keyring.partition(":")
        if scheme != "file" or not folder or "," in folder:
            raise ValueError(f"{variable('keyring')} must be file:/folder")
        return Path(folder)

    def topic(self, name: str) -> str:
        """Return a topic or group name with this copy's prefix."""
        return f"{self.topic_prefix}{name}"


def variable(field: str) -> str:
    """Return the environment variable of a field of :class:`Settings`."""
    return f"CASEKEEPER_{field.upper()}"


def _runtime_environment(home: Path) -> dict[str, str]:
    try:
        return dict(json.loads((home / RUNTIME_FILE).read_text())["environment"])
    except FileNotFoundError:
        return {}
