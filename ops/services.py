"""The processes of the service itself, each started as ``casekeeper NAME`` with an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from application.settings import Settings, variable
from ops.errors import LocalServerError
from ops.ports import is_free, remembered_port
from ops.processes import spawn
from ops.roles import API, OWNER, WORKER
from ops.runtime import RUN_ID
from ops.servers import LocalServers
from ops.supervisor import Service

PREFERRED_PORT = 8080
_STOP = ((signal.SIGTERM, 15.0),)


class ServicePlan:
    """Which processes of the service a home runs, and with which environment.

    Raises LocalServerError if the settings name a port that cannot be used.
    """

    def __init__(self, settings: Settings, servers: LocalServers, run_id: str) -> None:
        self._settings = settings
        self._servers = servers
        self._run_id = run_id
        self._home = settings.home_path
        wanted = _whole_number("api_processes", settings.api_processes, 1, 256)
        self.ports = [self._port(number) for number in range(1, wanted + 1)]
        self._metrics = settings.metrics or str(remembered_port(self._home / "ports" / "worker-metrics"))

    @property
    def url(self) -> str:
        """Return the address a browser on this machine uses."""
        host = "127.0.0.1" if self._settings.host in ("0.0.0.0", "::") else self._settings.host  # noqa: S104
        return f"http://{host}:{self.ports[0]}"

    @property
    def metrics(self) -> list[str]:
        """Return the addresses at which the processes answer for their metrics."""
        host, port = self._settings.metrics_address or ("127.0.0.1", int(self._metrics.rpartition(":")[2]))
        serving = [f"{self.url.rpartition(':')[0]}:{number}/metrics" for number in self.ports]
        return serving if port == 0 else [*serving, f"http://{host}:{port}/metrics"]

    @property
    def demonstration_wanted(self) -> bool:
        """Tell whether the demonstration set is wanted and not loaded yet."""
        return self._settings.demo != "0" and not self._demonstration_marker.exists()

    def migration(self, when_done: Callable[[int], None]) -> Service:
        """Return the process that brings the databases to the current schema, as their owner."""
        return self._service("migrate", ["migrate"], OWNER, when_done=when_done)

    def workers(self) -> list[Service]:
        """Return the processes that serve: the API's and the worker."""
        serving = [
            self._service(_numbered("api", number), ["api"], API, own={variable("port"): str(port)})
            for number, port in enumerate(self.ports, 1)
        ]
        return [*serving, self._service("worker", ["worker"], WORKER, own={variable("metrics"): self._metrics})]

    def demonstration(self, when_done: Callable[[int], None]) -> Service:
        """Return the process that loads the demonstration set; a marker in the home remembers that it did."""

        def done(status: int) -> None:
            if status == 0:
                self._demonstration_marker.touch(mode=0o600)
            when_done(status)

        return self._service("demo", ["demo"], WORKER, when_done=done)

    def shared_environment(self) -> dict[str, str]:
        """Return the variables for commands typed beside the running copy."""
        chosen = {
            "home": str(self._home),
            "port": str(self.ports[0]),
            "keyring": str(self._settings.keyring_location),
            "keys_log": str(self._settings.keys_log_path),
        }
        # A worker started by hand beside this copy must not want the same port.
        chosen["metrics"] = ""
        values = {field.name: str(getattr(self._settings, field.name)) for field in fields(self._settings)}
        named = {variable(name): value for name, value in {**values, **chosen}.items() if value}
        return {**named, **self._servers.environment(WORKER)}

    @property
    def _demonstration_marker(self) -> Path:
        return self._home / "demonstration-loaded"

    def _service(
        self,
        name: str,
        arguments: list[str],
        role: str,
        *,
        own: Mapping[str, str] | None = None,
        when_done: Callable[[int], None] | None = None,
    ) -> Service:
        def start() -> subprocess.Popen[bytes]:
            environment = self._environment(role, own or {})
            command = [sys.executable, "-P", "-m", "cli.main", *arguments]
            return spawn(command, log=self._home / "logs" / f"{name}.log", environment=environment)

        if when_done is None:
            return Service(name, start, stop=_STOP)
        return Service(name, start, stop=_STOP, once=True, when_done=when_done)

    def _environment(self, role: str, own: Mapping[str, str]) -> Mapping[str, str]:
        servers = self._servers.environment(role)
        run = {RUN_ID: self._run_id, "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **self.shared_environment(), **servers, **own, **run}

    def _port(self, number: int) -> int:
        if self._settings.port:
            port = _whole_number("port", self._settings.port, 1, 65535) + number - 1
            if not is_free(port, self._settings.host):
                raise LocalServerError(f"port {port} is in use: choose another {variable('port')}, or none")
            return port
        preferred = PREFERRED_PORT if number == 1 else None
        return remembered_port(self._home / "ports" / _numbered("api", number), preferred, self._settings.host)


def _whole_number(field: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise LocalServerError(f"{variable(field)} must be a number from {least} to {most}")
    return int(text)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
