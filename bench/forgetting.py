"""Destroying the keys of people: many together, one of many, and how long it takes at the 99th percentile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from psycopg2.extensions import make_dsn

from bench.database import cluster
from bench.figures import Figure, Result, Run, p99
from domain.sealed import KeyScope
from ops.roles import CLUSTERS, OWNER
from store.migrate import migrate
from vault.destruction_request import DestructionRequest
from vault.vault import MIGRATIONS, Vault

TOGETHER_COUNT = 50
SAMPLES = 100
LIMIT_MS = 250.0
MANY = 100_000
_AT_ONCE = 4
_CATEGORIES = ("identity", "medical", "insurance")

TOGETHER = Figure(
    "forget 50 people together", "ms", 0.5, at_most=True, note="the same number, one destruction after another"
)
ONE = Figure("forget one person, p99", "ms", 1.0, at_most=True, note="the limit: 250 ms")
OF_MORE = Figure("forget one of 1,000 people", "ms", note="one of 100 people: a level less of keys")
OF_MANY = Figure(
    f"forget one of {MANY:,} people",
    "ms",
    2.0,
    at_most=True,
    group="full",
    note="one of 1,000 people: a level less of keys",
)
FIGURES = (TOGETHER, ONE, OF_MORE, OF_MANY)


def measure(run: Run) -> Iterator[Result]:
    """Yield milliseconds, keyring and PostgreSQL included; who is forgotten has three scopes."""
    with ExitStack() as stack:
        few = stack.enter_context(installation(run.folder / "few", 100))
        if run.wants(TOGETHER):
            yield TOGETHER.alternate(lambda: _together(few), lambda: _one_by_one(few), run.rounds)
        if run.wants(ONE):
            yield ONE.result(p99(_one(few) for _ in range(SAMPLES)), LIMIT_MS)
        if run.wants(OF_MORE) or run.wants(OF_MANY):
            more = stack.enter_context(installation(run.folder / "more", 1_000))
        if run.wants(OF_MORE):
            yield OF_MORE.alternate(lambda: _one(more), lambda: _one(few), run.rounds * 5)
        if run.wants(OF_MANY):
            many = stack.enter_context(installation(run.folder / "many", MANY))
            yield OF_MANY.alternate(lambda: _one(many), lambda: _one(more), run.rounds * 5)


@contextmanager
def installation(folder: Path, people: int) -> Iterator[Vault]:
    """Give the vault of a keys cluster of its own, with this many people in it, each with one scope."""
    folder.mkdir()
    with cluster(folder, "pg-keys") as started:
        dsn = started.dsn(OWNER, CLUSTERS[started.name][0])
        migrate(dsn, MIGRATIONS)
        _fill(dsn, folder / "keyring", people)
        vault = Vault.open_at(dsn, folder / "keyring")
        yield vault
        vault.close()


def _fill(dsn: str, keyring: Path, people: int) -> None:
    """Make the keys of people, without waiting for the disk, which would take the longest."""
    vault = Vault.open_at(make_dsn(dsn, options="-c synchronous_commit=off"), keyring)
    with closing(vault), ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(lambda _: vault.scope(KeyScope(uuid4(), _CATEGORIES[0], None, 1)), range(people)):
            pass


def _people(vault: Vault, count: int) -> list[UUID]:
    people = [uuid4() for _ in range(count)]
    for subject_id in people:
        for category in _CATEGORIES:
            vault.scope(KeyScope(subject_id, category, None, 1))
    return people


def _requests(vault: Vault, count: int) -> list[DestructionRequest]:
    return [
        DestructionRequest(uuid4(), datetime.now(UTC), frozenset([subject_id]), frozenset())
        for subject_id in _people(vault, count)
    ]


def _together(vault: Vault) -> float:
    return _milliseconds(vault, [_requests(vault, TOGETHER_COUNT)])


def _one_by_one(vault: Vault) -> float:
    return _milliseconds(vault, [[request] for request in _requests(vault, TOGETHER_COUNT)])


def _one(vault: Vault) -> float:
    return _milliseconds(vault, [_requests(vault, 1)])


def _milliseconds(vault: Vault, batches: list[list[DestructionRequest]]) -> float:
    started = time.perf_counter()
    for batch in batches:
        vault.destroy_many(batch)
    return (time.perf_counter() - started) * 1000
