"""Rounds of clients against a server of their own, while it is restarted and cut off, and clients are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
from linearizability import chopping_proxy, gather
from linearizability.assembly import Boundary, Call, Stored, read_notes
from psycopg2.extensions import make_dsn, parse_dsn

from domain.errors import StoreUnavailable
from ops.postgres import ADMINISTRATOR, Cluster
from ops.processes import end_child
from store.log import EventLog
from store.migrate import migrate
from store.refill import admit_without_topic

PROCESSES = 4
CUT_CHANCE = 0.004
ROUND_SECONDS = 400


@dataclass
class Gathered:
    """What a campaign found: every call, the table at its end, and the head before each round."""

    calls: list[Call] = field(default_factory=list)
    table: list[Stored] = field(default_factory=list)
    boundaries: dict[int, Boundary] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=lambda: {"restarts": 0, "kills": 0, "terminated": 0})
    seconds: float = 0.0


class Campaign:
    """A server, its faults, and rounds of processes that ask. ``folder`` holds it all."""

    def __init__(self, folder: Path, cut_chance: float = CUT_CHANCE) -> None:
        self._folder = folder
        self._cut_chance = cut_chance
        self._cluster = Cluster(folder / "pg-main")
        self._heads = folder / "heads"
        self._chance = random.Random("campaign")
        self._stopping = threading.Event()
        self.gathered = Gathered()

    def __enter__(self) -> Campaign:
        self._start()
        self.dsn = self._cluster.dsn(ADMINISTRATOR, "postgres")
        migrate(self.dsn)
        with EventLog(self.dsn, heads=self._heads) as log:
            log.admit_writes(log.admission().incarnation, 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.stop()

    def run(self, rounds: int, operations: int, *, restart_every: int = 3) -> Gathered:
        """Run rounds of so many operations each; every one has kills and cuts, some a restart of the server."""
        started = time.monotonic()
        with self._chopping_proxy() as chopped:
            for number in range(1, rounds + 1):
                self.gathered.boundaries[number] = self._boundary()
                self._round(number, operations, chopped, restart=number % restart_every == 0)
        self.gathered.table = self._table()
        self.gathered.seconds = time.monotonic() - started
        return self.gathered

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator."""
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def _round(self, number: int, operations: int, chopped: str, *, restart: bool) -> None:
        notes = [self._folder / f"{number}-{process}.jsonl" for process in range(PROCESSES)]
        dsns = [self.dsn, chopped] * (PROCESSES // 2)
        started = [
            self._gatherer(dsn, number, process, operations // PROCESSES, notes[process])
            for process, dsn in enumerate(dsns)
        ]
        self._stopping.clear()
        troubles = [threading.Thread(target=self._cut_now_and_then), threading.Thread(target=self._admit)]
        for trouble in troubles:
            trouble.start()
        try:
            self._wait(notes, operations * 2 // 3)
            started[number % PROCESSES].kill()
            self.gathered.faults["kills"] += 1
            if restart:
                self._restart()
            for process in started:
                process.wait(ROUND_SECONDS)
        finally:
            self._stopping.set()
            for process in started:
                end_child(process)
            for trouble in troubles:
                trouble.join()
        failed = [process.returncode for process in started if process.returncode not in (0, -signal.SIGKILL)]
        assert not failed, f"a process of clients failed in round {number}"
        for file in notes:
            self.gathered.calls += read_notes(file, number)

    def _gatherer(self, dsn: str, number: int, process: int, operations: int, notes: Path) -> subprocess.Popen[bytes]:
        arguments = (dsn, self._heads, number, process, operations, notes)
        return subprocess.Popen([sys.executable, gather.__file__, *map(str, arguments)], env=_environment())

    def _wait(self, notes: list[Path], lines: int) -> None:
        """Wait until the round is about half over, and each process has begun."""
        deadline = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < deadline:
            counts = [_lines(file) for file in notes]
            if all(counts) and sum(counts) >= lines // 2:
                return
            self._stopping.wait(0.05)

    def _restart(self) -> None:
        """End the server, every other time as a crash would, and start it again."""
        self.gathered.faults["restarts"] += 1
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT if self.gathered.faults["restarts"] % 2 else signal.SIGINT)
        self._process.wait(30)
        self._start()

    def _start(self) -> None:
        self._process = self._cluster.start(self._folder / "pg-main.log")
        self._cluster.wait_ready()

    def _cut_now_and_then(self) -> None:
        victims = (
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'casekeeper %' ORDER BY random() LIMIT 2"
        )
        while not self._stopping.wait(self._chance.uniform(0.05, 0.4)):
            with suppress(psycopg2.Error):
                found = self.sql(f"SELECT pg_terminate_backend(pid) FROM ({victims}) victims")
                self.gathered.faults["terminated"] += len(found)

    def _admit(self) -> None:
        """Do what the relay does: admit writes for a restarted server, on the word of the head file."""
        with EventLog(self.dsn, heads=self._heads) as log:
            while not self._stopping.wait(0.05):
                with suppress(StoreUnavailable):
                    if not log.admission().admitted:
                        admit_without_topic(log)

    def _boundary(self) -> Boundary:
        """Return the head when nobody asks any more: what killed clients had begun is over, too."""
        while self.sql("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'casekeeper %'"):
            time.sleep(0.02)
        with EventLog(self.dsn) as log:
            return Boundary(time.monotonic_ns(), log.head())

    def _table(self) -> list[Stored]:
        self._boundary()
        rows = self.sql("SELECT position, event_id::text, stream_id::text, version FROM events ORDER BY position")
        return [
            Stored(position, gather.event_number(UUID(event)), gather.stream_number(UUID(stream)), version)
            for position, event, stream, version in rows
        ]

    @contextmanager
    def _chopping_proxy(self) -> Iterator[str]:
        given = parse_dsn(self.dsn)
        command = [sys.executable, chopping_proxy.__file__, given["host"], given["port"], str(self._cut_chance)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
        try:
            assert process.stdout is not None
            yield make_dsn(self.dsn, port=process.stdout.readline().strip(), sslmode="disable")
        finally:
            end_child(process)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") // 2 if file.exists() else 0


def _environment() -> dict[str, str]:
    here = Path(__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1]), *sys.path])}
