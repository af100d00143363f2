"""The checks of ``casekeeper doctor``: each looks at one thing the service depends on and says what to do."""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import psycopg2

from application.settings import Settings, variable
from ops.kafka.jars import OLDEST_JAVA, cache_folder, java_version
from ops.ports import answers

OLDEST_POSTGRESQL = 150_000
LEAST_FREE_BYTES = 2 * 1024**3
MOST_DRIFT_SECONDS = 2.0

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """What one check found; ``advice`` says what to do and is empty when all is well."""

    name: str
    state: State
    found: str
    advice: str = ""


def findings(settings: Settings) -> Iterator[Finding]:
    """Run every check."""
    checks: tuple[Callable[[Settings], Finding], ...] = (java, maven, kafka, keyring, disk, clock)
    for field, cluster in (("events_dsn", "pg-main"), ("views_dsn", "pg-main"), ("keys_dsn", "pg-keys")):
        yield database(settings, field, cluster)
    for check in checks:
        yield check(settings)


def java(settings: Settings) -> Finding:
    """Look for the Java that a local broker runs on."""
    version = java_version()
    if settings.kafka and version is None:
        return Finding("java", "ok", "none, and none needed: Kafka is elsewhere")
    if version is None or version < OLDEST_JAVA:
        return Finding("java", "failed", str(version or "none"), "apt-get install default-jre-headless")
    return Finding("java", "ok", str(version))


def maven(settings: Settings) -> Finding:
    """Look for Maven, or for what it would fetch."""
    folder = cache_folder()
    if folder.exists():
        return Finding("maven", "ok", f"Kafka is already in {folder}")
    if shutil.which("mvn"):
        return Finding("maven", "ok", "there; Kafka will be fetched at the first start")
    return Finding("maven", "ok" if settings.kafka else "failed", "none", "apt-get install maven")


def kafka(settings: Settings) -> Finding:
    """Try a TCP connection to each bootstrap server."""
    if not settings.kafka:
        return Finding("kafka", "warning", "not running", "casekeeper up starts a local broker")
    silent = [server for server in settings.kafka.split(",") if not _reachable(server)]
    if silent:
        advice = f"start it, or correct {variable('kafka')} (host:port, comma-separated)"
        return Finding("kafka", "failed", f"no answer from {', '.join(silent)}", advice)
    return Finding("kafka", "ok", settings.kafka)


def database(settings: Settings, field: str, cluster: str) -> Finding:
    """Connect to one database and look at its version."""
    name, dsn = field.removesuffix("_dsn"), getattr(settings, field)
    if not dsn:
        return Finding(name, "warning", "not running", f"casekeeper up starts the embedded cluster {cluster}")
    try:
        connection = psycopg2.connect(dsn, connect_timeout=5)
    except (psycopg2.OperationalError, psycopg2.ProgrammingError):
        advice = f"start it, or correct {variable(field)}; its log is logs/{cluster}.log if it is embedded"
        return Finding(name, "failed", "cannot connect", advice)
    version = connection.server_version
    connection.close()
    if version < OLDEST_POSTGRESQL:
        return Finding(name, "failed", f"PostgreSQL {version // 10000}", "PostgreSQL 15 or later is needed")
    return Finding(name, "ok", f"PostgreSQL {version // 10000}")


def keyring(settings: Settings) -> Finding:
    """Look at the keyring's folder: there, and nobody else's to read."""
    folder = settings.keyring_path
    if not folder.exists():
        return Finding("keyring", "warning", f"no folder {folder}", "it is made at the first start")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        return Finding("keyring", "failed", f"others may enter {folder} (mode {mode:o})", f"chmod 700 {folder}")
    return Finding("keyring", "ok", str(folder))


def disk(settings: Settings) -> Finding:
    """Look at the free space where the home is."""
    folder = next(parent for parent in (settings.home_path, *settings.home_path.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "failed", shown, f"make room, or set {variable('home')} to another disk")
    return Finding("disk", "ok", shown)


def clock(settings: Settings) -> Finding:
    """Compare this machine's clock with the event database's: consents are valid until moments in time."""
    drift = _drift(settings.events_dsn) if settings.events_dsn else None
    if drift is None:
        return Finding("clock", "warning", "nothing to compare it with", "it is compared with the event database's")
    shown = f"{abs(drift):.1f} s from the event database's"
    if abs(drift) > MOST_DRIFT_SECONDS:
        return Finding("clock", "failed", shown, "synchronise both machines (for instance with chrony)")
    return Finding("clock", "ok", shown)


def _drift(dsn: str) -> float | None:
    try:
        connection = psycopg2.connect(dsn, connect_timeout=5)
    except (psycopg2.OperationalError, psycopg2.ProgrammingError):
        return None
    try:
        with connection.cursor() as cursor:
            before = time.time()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (theirs,) = cursor.fetchone() or (before,)
            return float(theirs) - (before + time.time()) / 2
    finally:
        connection.close()


def _reachable(server: str) -> bool:
    host, _, port = server.strip().rpartition(":")
    return port.isdigit() and answers(int(port), host.strip("[]"))
