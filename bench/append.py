"""Appending with every check on, beside the eventsourcing library's own PostgreSQL recorder (psycopg 3, defaults)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment
from psycopg2.extensions import parse_dsn

from bench.figures import Figure, measure
from ops.postgres import Cluster
from ops.roles import CLUSTERS, OWNER, provision
from store.append import AppendCommand, NewEvent
from store.log import EventLog
from store.migrate import migrate

RECORD = b'{"data":"' + b"x" * 400 + b'"}'
SECONDS = 2.0


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield appends per second at 1 and 16 writers, each appending one event to a stream of its own at a time."""
    cluster = Cluster(folder / "pg-main")
    cluster.start(folder / "pg-main.log")
    try:
        cluster.wait_ready()
        provision(cluster)
        dsn = cluster.dsn(OWNER, CLUSTERS["pg-main"][0])
        migrate(dsn)
        with EventLog(dsn) as log, _library(dsn) as factory:
            log.admit_writes(log.admission().incarnation, 0)
            recorder = factory.application_recorder()

            def ours() -> None:
                event = NewEvent(uuid4(), uuid4(), 1, "Benched", RECORD)
                log.append(AppendCommand((event,), reads={event.stream_id: 0}, uses=frozenset({uuid4(), uuid4()})))

            def peer() -> None:
                recorder.insert_events([StoredEvent(uuid4(), 1, "Benched", RECORD)])

            for writers, goal in ((1, 1.2), (16, 6.0)):
                yield measure(
                    f"append, {writers} writers",
                    lambda w=writers: _rate(ours, w),
                    lambda w=writers: _rate(peer, w),
                    unit="events/s",
                    goal=goal,
                    rounds=rounds,
                )
    finally:
        cluster.stop()


def _library(dsn: str) -> InfrastructureFactory:
    parts = parse_dsn(dsn)
    return InfrastructureFactory.construct(
        Environment(
            "bench",
            {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": parts["dbname"],
                "POSTGRES_HOST": parts["host"],
                "POSTGRES_PORT": parts["port"],
                "POSTGRES_USER": parts["user"],
                "POSTGRES_PASSWORD": parts["password"],
                "POSTGRES_MAX_OVERFLOW": "20",
            },
        )
    )


def _rate(append: Callable[[], None], writers: int) -> float:
    end = time.monotonic() + SECONDS

    def write(_: int) -> int:
        done = 0
        while time.monotonic() < end:
            append()
            done += 1
        return done

    started = time.monotonic()
    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(write, range(writers))) / (time.monotonic() - started)
