"""How Kafka is reached: the servers, and what proves both sides to each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from application.clear_connections import brokers_in_clear, refusal
from domain.errors import SettingInvalid

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN")


@dataclass(frozen=True)
class Brokers:
    """Bootstrap servers and how to speak to them. Paths name PEM files; the password is read from its file.

    ``certificate`` and ``key`` are this service's own, for brokers that ask for one (mutual TLS).
    """

    servers: tuple[str, ...]
    protocol: str = "PLAINTEXT"
    ca: str = ""
    certificate: str = ""
    key: str = ""
    mechanism: str = ""
    username: str = ""
    password_file: str = ""
    clear_allowed: bool = False
    """Whether brokers on another machine may be spoken to in the clear."""

    def __post_init__(self) -> None:
        """Raise ``SettingInvalid`` where settings contradict each other, rather than speak in the clear."""
        if self.protocol not in PROTOCOLS:
            raise SettingInvalid(f"CASEKEEPER_KAFKA_PROTOCOL must be one of {', '.join(PROTOCOLS)}")
        encrypted, signs_in = self.protocol.endswith("SSL"), self.protocol.startswith("SASL")
        if not encrypted and (self.ca or self.certificate or self.key):
            raise SettingInvalid(
                "CASEKEEPER_KAFKA_CA, _CERTIFICATE and _KEY need CASEKEEPER_KAFKA_PROTOCOL SSL or SASL_SSL"
            )
        if bool(self.certificate) != bool(self.key):
            raise SettingInvalid("CASEKEEPER_KAFKA_CERTIFICATE and CASEKEEPER_KAFKA_KEY go together")
        if signs_in and self.mechanism not in MECHANISMS:
            raise SettingInvalid(f"CASEKEEPER_KAFKA_MECHANISM must be one of {', '.join(MECHANISMS)}")
        if self.protocol == "SASL_PLAINTEXT" and self.mechanism == "PLAIN":
            raise SettingInvalid("CASEKEEPER_KAFKA_MECHANISM PLAIN sends the password, so it needs SASL_SSL")
        if signs_in != bool(self.username and self.password_file):
            raise SettingInvalid(
                "CASEKEEPER_KAFKA_USERNAME and _PASSWORD_FILE go with the SASL protocols, and those with them"
            )
        if not self.clear_allowed and brokers_in_clear(self.servers, self.protocol):
            raise refusal("CASEKEEPER_KAFKA")

    @classmethod
    def of(cls, brokers: Brokers | str) -> Brokers:
        """Return brokers as they are, or those of this machine at comma-separated ``host:port``, in the clear."""
        return brokers if isinstance(brokers, Brokers) else cls(tuple(brokers.split(",")))

    def options(self) -> dict[str, Any]:
        """Return what kafka-python's clients take. Raises ``SettingInvalid`` when a file cannot be read."""
        return {"bootstrap_servers": list(self.servers), **self.security()}

    def security(self) -> dict[str, Any]:
        """Return the part of it that proves both sides. Host names are checked wherever there is TLS."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            options |= {
                "ssl_check_hostname": True,
                "ssl_cafile": _readable(self.ca),
                "ssl_certfile": _readable(self.certificate),
                "ssl_keyfile": _readable(self.key),
            }
        if self.protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": _text(self.password_file),
            }
        return options


def _readable(path: str) -> str | None:
    if path:
        _text(path)
    return path or None


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise SettingInvalid(f"cannot read {path}, which a setting of Kafka names") from None
