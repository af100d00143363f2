"""The genuine service on three PostgreSQL clusters of its own, one per database, so that each can be broken alone.

One API process, one worker and the session's Kafka; every process uses the role and the rights it has in production.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from psycopg2.extensions import connection as Connection

from api.dev_tokens import DevIssuer
from application.settings import Settings, variable
from ops.ports import answers, free_port
from ops.postgres import Cluster
from ops.processes import end_child, spawn
from ops.roles import API, EVENTS, KEYS, OWNER, VIEWS, WORKER, provision
from tests.callers import INTAKE_SERVICE, MANAGER, Who
from tests.keyrings import location_for
from tests.waiting import until
from vault.vault import Vault

DATABASES = {"events": ("pg-main", EVENTS), "views": ("pg-main", VIEWS), "keys": ("pg-keys", KEYS)}
CASEKEEPER = (sys.executable, "-P", "-m", "cli.main")


class Server:
    """The cluster of one database. ``break_off`` ends it as a crash would; :meth:`start` starts it again."""

    def __init__(self, folder: Path, store: str) -> None:
        name, self.database = DATABASES[store]
        self.log = folder / f"{store}.log"
        self.cluster = Cluster(folder / store / name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        self._process = self.cluster.start(self.log)
        self.cluster.wait_ready()

    def stop(self) -> None:
        """Shut the server down (fast)."""
        self.cluster.stop()

    def break_off(self) -> None:
        """End the server without a shutdown: it recovers from its write-ahead log."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def ended(self) -> bool:
        """Return whether the server has ended by itself."""
        assert self._process is not None
        return self._process.poll() is not None

    def close(self) -> None:
        """End the server for good."""
        self.stop()

    def make_standby(self) -> None:
        """Let the stopped server start as a standby."""
        (self.cluster.folder / "store" / "data" / "standby.signal").touch()

    def provision(self) -> None:
        """Make the roles and the database."""
        provision(self.cluster)

    def administrator(self) -> Connection:
        """Connect to the database as the cluster's administrator, in autocommit."""
        return self.cluster.connect(self.database)

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator and return its rows."""
        connection = self.administrator()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def cut_all(self) -> int:
        """End every client connection to the database; return how many."""
        others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        return len(self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    def dsn(self, role: str) -> str:
        return self.cluster.dsn(role, self.database)


class Stage:
    """Servers, API and worker. ``given``: servers of a special kind, by store."""

    def __init__(self, home: Path, kafka: str, **given: Server) -> None:
        self.home = home
        self.port = free_port()
        self._kafka = kafka
        self._prefix = f"pg{secrets.token_hex(4)}."
        self.servers = {store: given.get(store) or Server(home, store) for store in DATABASES}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tokens: dict[Who, str] = {}

    def start(self) -> None:
        """Start everything and return when the service takes writes."""
        for server in self.servers.values():
            server.start()
            server.provision()
        environment = {**self.environment(OWNER), variable("port"): ""}
        subprocess.run([*CASEKEEPER, "migrate"], env=environment, check=True, capture_output=True)
        self._processes["worker"] = self._spawn("worker", WORKER)
        self._processes["api"] = self._spawn("api", API)
        until(self._answers, 60, "the API")
        self._issue_tokens()

    def stop(self) -> None:
        """End every process by its own pid."""
        for process in self._processes.values():
            end_child(process)
        for server in self.servers.values():
            server.close()

    def environment(self, role: str) -> dict[str, str]:
        """Return the environment of a process that connects as ``role``."""
        own = {
            "home": str(self.home),
            "keyring": str(location_for(self.home / "keyring")),
            "kafka": self._kafka,
            "topic_prefix": self._prefix,
            "port": str(self.port),
            **{f"{store}_dsn": server.dsn(role) for store, server in self.servers.items()},
        }
        return {**os.environ, "PYTHONUNBUFFERED": "1", **{variable(name): value for name, value in own.items()}}

    def token(self, role: str, purpose: str, actor: str) -> str:
        return self._tokens[(role, purpose, actor)]

    def alive(self) -> list[str]:
        """Return the names of the processes of the service that still run."""
        return [name for name, process in self._processes.items() if process.poll() is None]

    def _spawn(self, name: str, role: str) -> subprocess.Popen[bytes]:
        return spawn([*CASEKEEPER, name], log=self.home / f"{name}.log", environment=self.environment(role))

    def _issue_tokens(self) -> None:
        names = {variable(field) for field in ("home", "keyring", "keys_dsn")}
        settings = Settings.load({k: v for k, v in self.environment(OWNER).items() if k in names})
        keys = Vault.open_at(settings.keys_dsn, settings.keyring_location)
        issuer = DevIssuer(settings, keys)
        for role, purpose, actor in (INTAKE_SERVICE, MANAGER):
            self._tokens[(role, purpose, actor)] = issuer.issue(actor, [role], purpose)
        keys.close()

    def _answers(self) -> bool:
        assert len(self.alive()) == len(self._processes), f"a process ended, see {self.home}"
        return answers(self.port)
