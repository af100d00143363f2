"""A copy of the service whose processes a test starts and kills: ``casekeeper api`` and ``casekeeper worker``."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import psycopg2
from independent_read import Place

import vault
from api.dev_tokens import DevIssuer
from application.settings import Settings, variable
from consumers.topics import ensure_topics
from ops.ports import free_port
from ops.processes import session_members, spawn
from store.migrate import migrate
from tests.keyrings import location_for, mend_after_kill
from tests.waiting import until
from vault.vault import Vault

ROOT = Path(vault.__file__).parents[1]
GENUINE = ("-m", "cli.main")


class Server:
    """One process of the copy, with a log of its own; started again under the same name it keeps its port."""

    def __init__(
        self, copy: RunningCopy, name: str, arguments: Sequence[str], launcher: Sequence[str] = GENUINE
    ) -> None:
        self.name = name
        self.port = free_port() if arguments[0] == "api" else 0
        self.log = copy.home / f"{name}.log"
        self._command = [sys.executable, *launcher, *arguments]
        self._environment = copy.environment(self.port)
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0
        self._ready = False

    def start(self) -> None:
        """Start it, in a session of its own, so that all its processes can be killed together; from the main thread."""
        self._from, self._ready = self.log.stat().st_size if self.log.exists() else 0, False
        self._process = spawn(
            self._command, log=self.log, environment=self._environment, on_parent_death=signal.SIGKILL
        )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def ready(self) -> bool:
        """Return whether it has come to serve since it was started: an API answers, a worker has started its parts."""
        if not self._ready:
            self._ready = self._answers() if self.port else self._has_said(b'"worker started"')
        return self._ready

    def kill(self, which: str = "all") -> None:
        """Send SIGKILL to all its processes, to its ``parent`` only, or only to the ``children`` that this started."""
        for member in session_members(self.process.pid):
            if which == "all" or (which == "parent") == (member.pid == self.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(member.pid, signal.SIGKILL)

    def bury(self, timeout: float = 20.0) -> int:
        """Wait until it has ended, with all its processes, and return its exit status; the keyring is whole then."""
        status = self.process.wait(timeout)
        deadline = time.monotonic() + timeout
        while any(session_members(self.process.pid)):
            assert time.monotonic() < deadline, f"{self.name} left processes behind"
            time.sleep(0.02)
        mend_after_kill()
        return status

    def stop(self) -> int:
        """Ask it to end, as the supervisor does, and return its exit status."""
        self.process.terminate()
        return self.bury(30)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=0.3)
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _has_said(self, text: bytes) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._from)
            return text in log.read()


class RunningCopy:
    """Databases and topics of one copy, and its processes by name."""

    def __init__(self, events_dsn: str, views_dsn: str, keys_dsn: str, kafka: str, home: Path) -> None:
        self.home = home
        self.settings = Settings(
            home=str(home),
            events_dsn=events_dsn,
            views_dsn=views_dsn,
            keys_dsn=keys_dsn,
            keyring=str(location_for(home / "keyring")),
            kafka=kafka,
            topic_prefix=f"k{secrets.token_hex(4)}.",
        )
        migrate(events_dsn)
        migrate(keys_dsn, ROOT / "vault" / "migrations")
        ensure_topics(self.settings)
        self.servers: dict[str, Server] = {}
        self.vault = Vault.open_at(keys_dsn, self.settings.keyring_location)
        self._issuer = DevIssuer(self.settings, self.vault)
        self._tokens: dict[tuple[str, str, str], str] = {}

    @property
    def place(self) -> Place:
        """Return where the independent check finds what it compares."""
        s = self.settings
        return Place(s.events_dsn, s.views_dsn, s.kafka, s.topic_prefix)

    def environment(self, port: int = 0) -> dict[str, str]:
        """Return the environment of a process of this copy."""
        values = {field.name: str(getattr(self.settings, field.name)) for field in fields(self.settings)}
        own = {variable(name): value for name, value in values.items() if value}
        return {**os.environ, **own, "PYTHONPATH": str(ROOT), **({variable("port"): str(port)} if port else {})}

    def add(self, name: str, *arguments: str, launcher: Sequence[str] = GENUINE) -> Server:
        """Start a process; :meth:`serve` waits for it."""
        server = Server(self, name, arguments, launcher)
        self.servers[name] = server
        server.start()
        return server

    def serve(self) -> None:
        """Return once all processes serve, or have ended as their launcher would have it."""
        until(lambda: all(server.ready() or server.process.poll() is not None for server in self.servers.values()))

    def token(self, role: str, purpose: str, actor: str) -> str:
        """Return a bearer token."""
        key = role, purpose, actor
        if key not in self._tokens:
            self._tokens[key] = self._issuer.issue(actor, [role], purpose)
        return self._tokens[key]

    def command(self, *arguments: str) -> str:
        """Run ``casekeeper`` to its end and return what it printed."""
        return subprocess.run(
            [sys.executable, *GENUINE, *arguments],
            env=self.environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def head(self) -> int:
        """Return the position of the last event in the store."""
        return int(_one(self.settings.events_dsn, "SELECT position FROM log_head"))

    def settled(self) -> bool:
        """Return whether every view is at the store's head and no erasure is under way."""
        reached = _one(self.settings.views_dsn, "SELECT min(position) FROM view_positions")
        open_ = _one(self.settings.views_dsn, "SELECT count(*) FROM view_forget_sagas WHERE step <> 'certified'")
        return bool(open_ == 0 and reached == self.head())

    def end(self) -> None:
        """Kill what still runs."""
        for server in self.servers.values():
            server.kill()
        for server in self.servers.values():
            server.bury()
        self.vault.close()


@contextmanager
def running_copy(
    pg_main: str, pg_keys: str, kafka_bootstrap: str, new_database: Callable[..., str], home: Path
) -> Iterator[RunningCopy]:
    """Give an empty copy without processes; end those that were started."""
    copy = RunningCopy(
        new_database(pg_main, "events"),
        new_database(pg_main, "views"),
        new_database(pg_keys, "keys"),
        kafka_bootstrap,
        home,
    )
    try:
        yield copy
    finally:
        copy.end()


def _one(dsn: str, query: str) -> Any:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]
    finally:
        connection.close()
