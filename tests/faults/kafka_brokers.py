"""Brokers to be broken: killed, replaced by empty ones, three that hold copies for one another."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.kafka.broker import Broker
from ops.ports import LOOPBACK, remembered_port

_THREE = """
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
default.replication.factor=3
min.insync.replicas=2
broker.session.timeout.ms=6000
"""


class FaultyBroker(Broker):
    """A broker with further settings (the last word on a name counts); it keeps its ports, whatever befalls it."""

    heap = "-Xmx256m"

    def __init__(self, folder: Path, settings: str = "") -> None:
        super().__init__(folder)
        self._settings = settings
        self._running: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        self._port = remembered_port(folder / "port")
        self._controller_port = remembered_port(folder / "controller-port")

    @property
    def controller(self) -> str:
        return f"{LOOPBACK}:{self._controller_port}"

    def add(self, settings: str) -> None:
        self._settings += settings

    def begin(self) -> None:
        """Start without waiting."""
        self._running = self.start(self.folder / "server.log")

    def up(self) -> None:
        self.begin()
        self.wait_ready()

    def kill(self) -> None:
        """End it as a power switch would."""
        assert self._running is not None
        self._running.send_signal(signal.SIGKILL)
        self._running.wait(30)

    def empty(self) -> None:
        """Take away all it holds; what starts next at its address is another broker, of another cluster."""
        shutil.rmtree(self.folder / "data")
        (self.folder / "cluster-id").unlink()

    def _write_settings(self) -> Path:
        file = super()._write_settings()
        file.write_text(file.read_text() + self._settings)
        return file


@contextmanager
def one(folder: Path) -> Iterator[FaultyBroker]:
    """Give a broker, not started; it is ended with the block."""
    broker = FaultyBroker(folder)
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def three(folder: Path) -> Iterator[Sequence[FaultyBroker]]:
    """Give three running brokers of one cluster, each also a controller, that hold every topic three times."""
    brokers = [FaultyBroker(folder / f"kafka-{number}", _THREE) for number in (1, 2, 3)]
    voters = ",".join(f"{number}@{broker.controller}" for number, broker in enumerate(brokers, 1))
    identity = secrets.token_hex(11)
    for number, broker in enumerate(brokers, 1):
        (broker.folder / "cluster-id").write_text(identity)
        broker.add(f"node.id={number}\ncontroller.quorum.voters={voters}\n")
    try:
        for broker in brokers:
            broker.begin()
        for broker in brokers:
            broker.wait_ready()
        yield brokers
    finally:
        for broker in brokers:
            broker.stop()


@contextmanager
def pair(folder: Path) -> Iterator[tuple[FaultyBroker, FaultyBroker]]:
    """Give two running brokers of one cluster: node 1, which is its controller, and node 2, which only holds copies."""
    first, second = FaultyBroker(folder / "kafka-1"), FaultyBroker(folder / "kafka-2")
    second.add(f"process.roles=broker\nnode.id=2\nlisteners=PLAINTEXT://{second.address}\n")
    identity = secrets.token_hex(11)
    for broker in (first, second):
        (broker.folder / "cluster-id").write_text(identity)
        broker.add(f"controller.quorum.voters=1@{first.controller}\nbroker.session.timeout.ms=6000\n")
    try:
        first.begin()
        second.begin()
        first.wait_ready()
        second.wait_ready()
        yield first, second
    finally:
        second.stop()
        first.stop()
