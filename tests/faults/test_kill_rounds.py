"""API and worker processes killed by SIGKILL at random moments under load, a hundred times, then looked at closely."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from at_work import failed
from independent_check import faults
from independent_read import read
from load_clients import Caller, Client, Known
from load_copy import RunningCopy, Server, running_copy
from load_journal import Journal
from load_publisher import Publisher

from tests.waiting import until

ROUNDS = 100
CLIENTS = 6
WORK = (2, 20)
"""How many commands are answered, from and to, after a process has come to serve and before it may be killed."""
INBOX_EVERY_SECONDS = 13.0
"""A consumer group waits 10 s for a member that was killed: killed oftener, the inbox would never get to work."""
MUST = ("release", "amendments", "approval")
NO_INBOX = "relay,schedule,projections,forget"


@pytest.fixture
def copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path: Path) -> Iterator[RunningCopy]:
    with running_copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path) as made:
        for name in ("api-1", "api-2"):
            made.add(name, "api")
        for name in ("worker-1", "worker-2"):
            made.add(name, "worker", "--only", NO_INBOX)
        for name in ("inbox-1", "inbox-2"):
            made.add(name, "worker", "--only", "inbox")
        made.serve()
        yield made


class Killer:
    """Kills processes at random moments while they are at work, and starts them again at once."""

    def __init__(self, copy: RunningCopy, chance: random.Random, answered: Callable[[], int]) -> None:
        self.killed: Counter[str] = Counter()
        self._chance = chance
        self._answered = answered
        self._due: dict[str, float] = {}
        self._often = [server for name, server in copy.servers.items() if not name.startswith("inbox")]
        self._seldom = [server for name, server in copy.servers.items() if name.startswith("inbox")]
        self._inbox_due = time.monotonic() + INBOX_EVERY_SECONDS

    def rounds(self, count: int) -> None:
        """Kill until so many rounds are done; in some, everything at once."""
        while self.killed["rounds"] < count:
            time.sleep(self._chance.uniform(0, 0.6))
            self._none_ended_by_itself()
            if time.monotonic() > self._inbox_due:
                self._kill([self._chance.choice(self._seldom)])
                self._inbox_due = time.monotonic() + INBOX_EVERY_SECONDS
            ready = [server for server in self._often if server.ready()]
            chosen = [server for server in ready if self._was_at_work(server)]
            if len(chosen) == len(self._often) and self._chance.random() < 0.3:
                self._kill(chosen)
            elif chosen:
                self._kill([self._chance.choice(chosen)])

    def _was_at_work(self, server: Server) -> bool:
        due = self._due.setdefault(server.name, self._answered() + self._chance.uniform(*WORK))
        return self._answered() >= due

    def _kill(self, servers: list[Server]) -> None:
        for server in servers:
            server.kill(self._chance.choice(["all", "children", "parent"]) if server.port else "all")
            self.killed[server.name.partition("-")[0]] += 1
            self._due.pop(server.name, None)
        for server in servers:
            server.bury()
            server.start()
        self.killed["rounds"] += 1

    def _none_ended_by_itself(self) -> None:
        for server in (*self._often, *self._seldom):
            assert server.process.poll() is None, f"{server.name} ended by itself: {server.log.read_text()[-2000:]}"


@pytest.mark.faults
def test_nothing_is_lost_or_done_twice_in_a_hundred_rounds(copy: RunningCopy, tmp_path: Path) -> None:
    seed = int(os.environ.get("CASEKEEPER_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    chance, stop, started = random.Random(seed), threading.Event(), time.monotonic()
    ports = [server.port for server in copy.servers.values() if server.port]
    journals = [Journal(tmp_path / f"http-{number}.jsonl", "http") for number in range(CLIENTS)]
    inbox_journal = Journal(tmp_path / "inbox.jsonl", "inbox")
    known = Known()
    clients: list[Client | Publisher] = [
        Client(_caller(copy, chance.sample(ports, len(ports)), journal, chance.random()), known, stop)
        for journal in journals
    ]
    clients.append(Publisher(copy, ports[0], inbox_journal, random.Random(chance.random()), stop))
    killer = Killer(copy, chance, lambda: sum(journal.counts["answered"] for journal in journals))
    for client in clients:
        client.start()
    try:
        killer.rounds(ROUNDS)
        until(lambda: all(_answered(journals, what) for what in MUST), 120, "an answer to each of the rarest commands")
    finally:
        stop.set()
        wrong = failed(clients, 150)
    assert wrong == []

    until(copy.settled, 60, "the views at the head")
    assert {name: server.stop() for name, server in copy.servers.items()} == dict.fromkeys(copy.servers, 0)
    seen = read(copy.place, [journal.path for journal in (*journals, inbox_journal)])
    http, inbox = sum((journal.counts for journal in journals), Counter[str]()), inbox_journal.counts
    print(f"{killer.killed['rounds']} rounds in {time.monotonic() - started:.0f} s; killed {dict(killer.killed)}")
    print(f"HTTP {dict(http)}; inbox {dict(inbox)}")
    print(f"{len(seen.rows)} events, {len(seen.topic)} on the topic, {len(seen.outcomes)} outcomes")
    assert faults(seen) == []
    assert min(http["answered"], http["lost"], inbox["answered"], killer.killed["inbox"]) > 0
    assert {"ErasureCertified", "DisclosureReleased", "IntakeAmended"} <= {row.type for row in seen.rows}


def _answered(journals: list[Journal], what: str) -> int:
    return sum(journal.answered[what] for journal in journals)


def _caller(copy: RunningCopy, ports: list[int], journal: Journal, seed: float) -> Caller:
    return Caller(copy, ports, journal, random.Random(seed), gives_up=0.03, asks_again=0.05)
