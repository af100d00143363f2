"""Certificates that TLS relies on, those in files and those that servers show; and where there should be TLS."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from application import clear_connections
from application.settings import Settings, variable
from cli.checks.databases import EMBEDDED_CLUSTER
from cli.checks.finding import Finding

SOON = timedelta(days=30)
_TIMEOUT_SECONDS = 5.0
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""What asks a PostgreSQL server to speak TLS (its manual, "SSLRequest")."""


def certificates(settings: Settings) -> Iterator[Finding]:
    """Say what leads to another machine in the clear, and how long every certificate is valid.

    These are in files that settings name, and what servers show where TLS is set.
    """
    seen = False
    for field in settings.in_clear():
        seen = True
        yield _in_clear(field, allowed=settings.clear_allowed)
    for name, file in _files(settings):
        seen = True
        yield from _file(name, file)
    for name, host, port, postgresql in _servers(settings):
        seen = True
        yield from _server(name, host, port, postgresql=postgresql)
    if not seen:
        yield Finding("certificates", "ok", "none used: connections in the clear stay on this machine")


def _in_clear(field: str, *, allowed: bool) -> Finding:
    shown = clear_connections.complaint(variable(field))
    advice = f"see TLS and SASL in docs/operations.md, or keep that network closed ({variable('clear_network')})"
    if allowed:
        return Finding("certificates", "warning", shown, advice)
    return Finding("certificates", "failed", f"{shown}, so no server was signed in to", advice)


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    for field in ("kafka_ca", "kafka_certificate"):
        if file := getattr(settings, field):
            yield variable(field), file
    for field in EMBEDDED_CLUSTER:
        parts = _parts(getattr(settings, field))
        for part in ("sslrootcert", "sslcert"):
            if part in parts and parts[part] != "system":
                yield f"{part} of {variable(field)}", parts[part]


def _servers(settings: Settings) -> Iterator[tuple[str, str, int, bool]]:
    if settings.kafka_protocol.endswith("SSL") and settings.kafka:
        for server in settings.kafka.split(","):
            host, _, port = server.strip().rpartition(":")
            if port.isdigit():
                yield server.strip(), host.strip("[]"), int(port), False
    for field in EMBEDDED_CLUSTER:
        parts = _parts(getattr(settings, field))
        if parts.get("sslmode", "prefer") in ("require", "verify-ca", "verify-full") and "host" in parts:
            host, number = parts["host"], int(parts.get("port", "5432"))
            yield f"{host}:{number}", host, number, True


def _file(name: str, file: str) -> Iterator[Finding]:
    try:
        found = x509.load_pem_x509_certificates(Path(file).read_bytes())
    except (OSError, ValueError):
        yield Finding("certificates", "failed", f"{file} cannot be read", f"put it there, or correct {name}")
        return
    yield _valid(file, min(found, key=lambda one: one.not_valid_after_utc))


def _server(name: str, host: str, port: int, *, postgresql: bool) -> Iterator[Finding]:
    """Look at what a server shows; one that does not answer is told by its own check."""
    context = ssl.create_default_context()
    context.check_hostname = False
    # Only a date is read here, and nothing sent: an expired certificate must not end the look at it.
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as plain:
            if postgresql:
                plain.sendall(_SSL_REQUEST)
                if plain.recv(1) != b"S":
                    yield Finding(
                        "certificates", "failed", f"{name} speaks no TLS", "switch ssl on in its postgresql.conf"
                    )
                    return
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                shown = encrypted.getpeercert(binary_form=True)
    except OSError:
        return
    if shown:
        yield _valid(f"{name} shows one that", x509.load_der_x509_certificate(shown))


def _valid(what: str, certificate: x509.Certificate) -> Finding:
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if left <= timedelta(0):
        return Finding("certificates", "failed", f"{what} expired on {until}", "put a new one in place, now")
    if left < SOON:
        return Finding("certificates", "warning", f"{what} expires on {until}", "put a new one in place before that")
    return Finding("certificates", "ok", f"{what} is valid until {until}")


def _parts(dsn: str) -> dict[str, str]:
    try:
        return dict(parse_dsn(dsn)) if dsn else {}
    except ProgrammingError:
        return {}
