"""One local Kafka broker: Apache Kafka in KRaft mode, on two free loopback ports that it keeps between runs."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from string import Template

from ops.errors import LocalServerError
from ops.files import private_folder, write_private
from ops.kafka import class_archive
from ops.kafka.jars import jars, java
from ops.ports import LOOPBACK, answers, remembered_port
from ops.processes import end_child, spawn, wait_until_ready

STOP = ((signal.SIGTERM, 20.0),)
READY_SECONDS = 120.0
_TEMPLATE = Path(__file__).with_name("server.properties")
_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")


class Broker:
    """A broker in a folder: ``data/`` (Kafka's), ``port`` and ``controller-port``, ``server.properties``."""

    heap = "-Xmx512m"
    server_options: tuple[str, ...] = ()
    """Further options of Java for the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = 0
        self._controller_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return ``host:port`` for clients; only of a broker that was started."""
        return f"{LOOPBACK}:{self._port}"

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Fetch Kafka if it is missing, format the data folder if it is new, and start the server; do not wait.

        Raises LocalServerError if Java or Kafka cannot be had or the folder cannot be formatted.
        """
        machine, libraries = java(), jars()
        private_folder(self.folder)
        settings = self._write_settings()
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(machine, libraries, settings)
        options = (self.heap, *_java_options(), "-XX:+ExitOnOutOfMemoryError", "-XX:-CreateCoredumpOnCrash")
        self._process = spawn(
            [
                *(machine, *options, *self.server_options, f"-XX:ErrorFile={self.folder / 'crash.log'}"),
                f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
                *("-cp", f"{libraries}/*", "kafka.Kafka", str(settings)),
            ],
            log=log,
            environment=_environment(),
        )
        return self._process

    def wait_ready(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Return when the broker takes connections, calling ``waiting`` between tries.

        Raises LocalServerError if it ends or does not listen within 2 minutes.
        """
        wait_until_ready(self._process, "Kafka", lambda: answers(self._port), READY_SECONDS, waiting)

    def stop(self) -> None:
        """Stop the server this object started; nothing if there is none."""
        if self._process is not None:
            end_child(self._process, STOP)
            self._process = None

    def _write_settings(self) -> Path:
        # Started again by the same program it keeps its ports in any case, because clients know them by now.
        self._port = self._port or remembered_port(self.folder / "port")
        self._controller_port = self._controller_port or remembered_port(self.folder / "controller-port")
        settings = self.folder / "server.properties"
        template = Template(_TEMPLATE.read_text())
        filled = template.substitute(port=self._port, controller_port=self._controller_port, data=self.folder / "data")
        write_private(settings, filled)
        return settings

    def _format(self, machine: str, libraries: Path, settings: Path) -> None:
        """Format the data folder; a format that was interrupted is simply done again, with the same cluster id."""
        identity = self.folder / "cluster-id"
        if not identity.exists():
            write_private(identity, secrets.token_hex(11))
        done = subprocess.run(
            [
                *(machine, "-Xmx128m", *_java_options()),
                f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
                *("-cp", f"{libraries}/*", "kafka.tools.StorageTool", "format", "--ignore-formatted"),
                *("--cluster-id", identity.read_text(), "--config", str(settings)),
            ],
            capture_output=True,
            text=True,
            env=_environment(),
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()
            raise LocalServerError(f"Kafka could not format its folder: {reason[-1] if reason else 'no reason given'}")


def _java_options() -> tuple[str, ...]:
    """Few threads and the quick compiler: a local broker shares its processors with all else, and starts often."""
    return ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *class_archive.using())


def _environment() -> dict[str, str]:
    kept = ("PATH", "JAVA_HOME", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}
