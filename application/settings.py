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

from application.brokers import Brokers
from application.clear_connections import ALLOWED, brokers_in_clear, database_in_clear, refusal
from domain.errors import SettingInvalid
from vault.keyring_location import Folders, KeyringLocation, parse

RUNTIME_FILE = "runtime.json"
PREFIX = "CASEKEEPER_"
"""Of the environment variable of each setting."""
DATABASES = ("events_dsn", "views_dsn", "keys_dsn")


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
    """Where the root key lives: ``file:/folder`` or a ``pkcs11:`` URI; empty: ``keyring/`` in the home folder."""
    keys_log: str = ""
    """Folder of the key change log, the keys' backup, on another volume than the keys cluster; empty: in the home."""
    kafka: str = ""
    """Comma-separated bootstrap servers; empty: a local broker."""
    kafka_protocol: str = "PLAINTEXT"
    """How brokers are spoken to: ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``."""
    kafka_ca: str = ""
    """PEM file of the authorities that sign the brokers' certificates; empty: the system's."""
    kafka_certificate: str = ""
    """PEM file of this service's own certificate, for brokers that ask for one."""
    kafka_key: str = ""
    """PEM file of that certificate's private key."""
    kafka_mechanism: str = "SCRAM-SHA-512"
    """SASL mechanism: ``SCRAM-SHA-512``, ``SCRAM-SHA-256`` or ``PLAIN``."""
    kafka_username: str = ""
    """Name to sign in to brokers with."""
    kafka_password_file: str = ""
    """File that holds the password for it."""
    clear_network: str = "0"
    """``1`` lets connections in the clear lead to other machines: for a closed network, such as one of containers."""
    topic_prefix: str = ""
    """Put before every topic and group name, so that copies can share brokers."""
    host: str = "127.0.0.1"
    """Address the API listens on."""
    port: str = ""
    """Port the API listens on; empty: 8080 if free, else any free port."""
    metrics: str = ""
    """Where a worker answers ``GET /metrics``: a port on loopback, or ``ADDRESS:PORT``; empty or ``0``: nowhere."""
    api_processes: str = "1"
    """How many API processes the supervisor starts."""
    api_threads: str = "32"
    """How many requests one API process works on at once."""
    rate_caller: str = "1000"
    """Calls a second that one API process takes from one caller; 0: no limit."""
    rate_peer: str = "100"
    """Calls a second without a valid token that one API process takes from one address; 0: no limit."""
    rate_signin: str = "10"
    """Failed attempts a minute to sign in that one API process takes from one address; 0: no limit."""
    demo: str = "1"
    """``0`` leaves out the demonstration set on first start."""
    issuers: str = ""
    """Path of a JSON file ``{issuer: {"alg", "jwk"}}`` of trusted token issuers."""
    index_epoch_days: str = "30"
    """How many days, 1 to 365, one key of the index that people are found by is used."""
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the environment, then the running copy's ``runtime.json``, then the defaults.

        Raises ``SettingInvalid`` where a connection would leave this machine in the clear and none is allowed to.
        """
        settings = cls.read(environ)
        if not settings.clear_allowed:
            for field in settings.in_clear(environ):
                raise refusal(variable(field))
        return settings

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the same without a look at where connections lead: for ``casekeeper doctor``, which has its own."""
        home = Path(environ.get("CASEKEEPER_HOME", cls.home))
        runtime = _runtime_environment(home)
        values: dict[str, str] = {}
        for field in fields(cls):
            name = variable(field.name)
            values[field.name] = environ.get(name) or runtime.get(name) or str(field.default)
        return cls(**{**values, "home": str(home)})

    @property
    def clear_allowed(self) -> bool:
        """Tell whether connections in the clear may lead to other machines."""
        return self.clear_network == ALLOWED

    def in_clear(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Return the fields whose connections lead to another machine without TLS that proves who answers."""
        given = [field for field in DATABASES if (dsn := getattr(self, field)) and database_in_clear(dsn, environ)]
        kafka = brokers_in_clear(self.kafka.split(","), self.kafka_protocol)
        return [*given, *(["kafka"] if kafka else [])]

    @property
    def home_path(self) -> Path:
        """Return the home folder as an absolute path."""
        return Path(self.home).resolve()

    @property
    def keyring_location(self) -> KeyringLocation:
        """Return where the keyring is. Raises ``SettingInvalid``."""
        if not self.keyring:
            return Folders((self.home_path / "keyring",))
        return parse(self.keyring, variable("keyring"))

    @property
    def keys_log_path(self) -> Path:
        """Return the folder of the key change log."""
        return Path(self.keys_log) if self.keys_log else self.home_path / "keys-log"

    @property
    def brokers(self) -> Brokers:
        """Return how Kafka is reached. Raises ``SettingInvalid`` for settings that contradict each other."""
        return Brokers(
            tuple(self.kafka.split(",")),
            self.kafka_protocol,
            self.kafka_ca,
            self.kafka_certificate,
            self.kafka_key,
            self.kafka_mechanism,
            self.kafka_username,
            self.kafka_password_file,
            clear_allowed=self.clear_allowed,
        )

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Return host and port of a worker's metrics, ``None`` for nowhere. Raises ``SettingInvalid``."""
        host, _, port = self.metrics.rpartition(":")
        if not self.metrics or self.metrics == "0":
            return None
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise SettingInvalid(f"{variable('metrics')} must be PORT or ADDRESS:PORT")
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def index_days(self) -> int:
        """Return how many days one index key is used. Raises ``SettingInvalid``."""
        days = self.index_epoch_days
        if not (days.isascii() and days.isdigit() and 1 <= int(days) <= 365):
            raise SettingInvalid(f"{variable('index_epoch_days')} must be a whole number of days from 1 to 365")
        return int(days)

    def topic(self, name: str) -> str:
        """Return a topic or group name with this copy's prefix."""
        return f"{self.topic_prefix}{name}"


def variable(field: str) -> str:
    """Return the environment variable of a field of :class:`Settings`."""
    return f"{PREFIX}{field.upper()}"


def _runtime_environment(home: Path) -> dict[str, str]:
    try:
        return dict(json.loads((home / RUNTIME_FILE).read_text())["environment"])
    except FileNotFoundError:
        return {}
