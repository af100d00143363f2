"""The genuine api and worker processes on databases of their own, before a Kafka that a test breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from rebalance_watch import LEADERS

from ops.ports import free_port
from store.migrate import migrate
from tests.callers import INTAKE_SERVICE
from tests.e2e.copy_of_service import CASEKEEPER, Copy
from tests.e2e.journey import Markers, subject_body
from tests.waiting import until
from vault.vault import MIGRATIONS

VIEWS = {
    *("people", "worklist", "case_page", "consents", "disclosures", "recipients", "requests", "search_index", "forget")
}
NewDatabase = Callable[..., str]


@dataclass
class Stack(Copy):
    """Processes of one copy, started and ended one by one. ``kafka``: the bootstrap servers they are given."""

    kafka: str = ""
    dsns: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def on(cls, home: Path, main: str, keys: str, new_database: NewDatabase, kafka: str) -> Stack:
        """Return a copy with fresh, migrated databases on these clusters, nothing started."""
        home.mkdir()
        dsns = {"EVENTS": new_database(main, "events"), "KEYS": new_database(keys, "keys")}
        migrate(dsns["EVENTS"])
        migrate(dsns["KEYS"], MIGRATIONS)
        return cls(home, kafka=kafka, dsns={**dsns, "VIEWS": new_database(main, "views")})

    @property
    def environment(self) -> dict[str, str]:
        databases = {f"CASEKEEPER_{name}_DSN": dsn for name, dsn in self.dsns.items()}
        own = {"CASEKEEPER_HOME": str(self.home), "CASEKEEPER_KAFKA": self.kafka, **databases}
        return {**os.environ, **own}

    def spawn(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process of the service under a name; its output goes to ``NAME.log`` in the home."""
        with open(self.home / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command or [CASEKEEPER, name], env={**self.environment, **environment}, stdout=log, stderr=log
            )
        self.processes[name] = process
        return process

    def serve(self) -> None:
        """Start the API, on a port of its own, and the worker."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.spawn("api", CASEKEEPER, "api", CASEKEEPER_PORT=str(port))
        self.worker("worker")

    def worker(self, name: str, program: Path | None = None, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker, or a program of the tests' that runs one."""
        command = [sys.executable, str(program), *arguments] if program else [CASEKEEPER, "worker"]
        return self.spawn(name, *command)

    def end(self, name: str, with_signal: int = signal.SIGTERM) -> int:
        """End a process, continuing one that was stopped; return its exit status."""
        process = self.processes.pop(name)
        process.send_signal(with_signal)
        process.send_signal(signal.SIGCONT)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def end_all(self) -> None:
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)

    def health(self) -> dict[str, Any]:
        """Return what /health/ready says, ready or not; nothing while nobody answers."""
        try:
            return dict(self.call(None, "GET", "/health/ready").body)
        except OSError:
            return {}

    def reasons(self) -> dict[str, str]:
        return dict(self.health().get("reasons", {}))

    def well(self) -> bool:
        """Return whether everything works and every view has the whole log."""
        said = self.health()
        views = {view["name"]: view["lag"] for view in said.get("views", [])}
        return bool(said) and said["ready"] and said["degraded"] == [] and views == dict.fromkeys(VIEWS, 0)

    def until_well(self, seconds: float = 180.0) -> None:
        """Wait until everything works."""
        until(self.well, seconds, "the copy being well")

    def register(self) -> tuple[str, int]:
        """Register a person over HTTP; return id and position. It must succeed, at once."""
        self.token(*INTAKE_SERVICE)
        began = time.monotonic()
        reply = self.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers()))
        assert reply.status == 201, reply
        assert time.monotonic() - began < 10, "a write waited"
        return reply.body["id"], reply.body["receipt"]["position"]

    def sql(self, database: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.dsns[database])
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def view_positions(self) -> dict[str, int]:
        return dict(self.sql("VIEWS", "SELECT name, position FROM view_positions"))

    def leaders(self) -> dict[str, int]:
        """Return which server process holds each part's lock: another number, another leader."""
        names = [psycopg2.extensions.parse_dsn(self.dsns[name])["dbname"] for name in ("EVENTS", "VIEWS")]
        return {name.removeprefix("casekeeper lead "): pid for name, pid in self.sql("EVENTS", LEADERS, names)}


@contextmanager
def stack(home: Path, main: str, keys: str, new_database: NewDatabase, kafka: str) -> Iterator[Stack]:
    """Give a copy; every process of it is ended with the block."""
    made = Stack.on(home, main, keys, new_database, kafka)
    try:
        yield made
    finally:
        made.end_all()
