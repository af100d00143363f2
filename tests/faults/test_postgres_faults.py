"""PostgreSQL restarted, killed, cut off, made read-only and filled up, under the genuine service and its clients.

Clients get the true answer or 503 with Retry-After, no command has an effect twice, and the service recovers without
being restarted. Each database is on a server and a small disk of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg2
import pytest
from mount_namespace import possible
from postgres_clients import Load, Told
from postgres_counts import differences
from postgres_small_disk import SmallDiskServer
from postgres_stage import DATABASES, Server, Stage

from tests.waiting import until

pytestmark = pytest.mark.faults
FAULT_SECONDS = 1.5
Fault = Callable[[Server, Load], None]


class Running:
    """The stage, and all that clients were ever told on it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.told: list[Told] = []

    def load(self) -> Load:
        """Return clients to run in a ``with`` block."""
        load = Load(self.stage)
        self.told.append(load.told)
        return load


@pytest.fixture(scope="module")
def running(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("postgres-faults")
    small = {store: SmallDiskServer(home, store) for store in DATABASES} if possible() else {}
    made = Running(Stage(home, kafka_bootstrap, **small))
    try:
        made.stage.start()
        with made.load() as load:
            load.go_on(1)
        yield made
    finally:
        made.stage.stop()


def restarted(server: Server, load: Load) -> None:
    """A shutdown that ends every session, as an upgrade does, and a start."""
    server.stop()
    load.run_for(FAULT_SECONDS)
    server.start()


def killed(server: Server, load: Load) -> None:
    """SIGQUIT to the postmaster: everything ends at once, and is recovered from the write-ahead log."""
    server.break_off()
    load.run_for(FAULT_SECONDS)
    server.start()


def cut_off(server: Server, load: Load) -> None:
    """Every connection ended, again and again."""
    for _ in range(20):
        server.cut_all()
        load.run_for(0.1)


def read_only(server: Server, load: Load) -> None:
    """Read-only for new sessions; what was opened meanwhile is not ended when the setting goes.

    Views that cannot be written are noticed once a read has waited for them in vain, and no earlier.
    """
    server.run(f"ALTER DATABASE {server.database} SET default_transaction_read_only = on")
    server.cut_all()
    load.run_for(FAULT_SECONDS)
    until(lambda: bool(load.told.refusals), 30)
    connection = server.administrator()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER DATABASE {server.database} RESET default_transaction_read_only")
    connection.close()


def standby(server: Server, load: Load) -> None:
    """A standby in recovery, which answers reads; then promoted."""
    server.stop()
    server.make_standby()
    server.start()
    load.run_for(FAULT_SECONDS)
    server.run("SELECT pg_promote()")


def full_for_rows(server: Server, load: Load) -> None:
    """No block left: tables cannot grow, which is met when the pages they have are full."""
    assert isinstance(server, SmallDiskServer)
    server.fill()
    load.run_for(FAULT_SECONDS)
    until(lambda: bool(load.told.refusals), 30)
    server.empty()
    if server.ended():
        server.start()


def full_for_log(server: Server, load: Load) -> None:
    """No room for the write-ahead log: the server ends itself, and can recover only when there is room again.

    A slot of a standby that went away keeps the log: without it each checkpoint makes room, and the server may live on.
    """
    assert isinstance(server, SmallDiskServer)
    server.run("SELECT pg_create_physical_replication_slot('far_away', true)")
    server.fill()
    deadline = time.monotonic() + 20
    while not server.ended():
        assert time.monotonic() < deadline, "the server lives on without a write-ahead log"
        with suppress(psycopg2.Error):
            server.run("SELECT pg_switch_wal(), pg_logical_emit_message(true, 'fill', repeat('x', 100000))")
    load.run_for(FAULT_SECONDS)
    server.empty()
    server.start()
    server.run("SELECT pg_drop_replication_slot('far_away')")


EVENTS = (restarted, killed, cut_off, read_only, standby, full_for_rows, full_for_log)
VIEWS = (killed, cut_off, read_only, full_for_rows)
KEYS = (killed, cut_off, read_only, full_for_log)
CASES = [(store, f) for store, faults in (("events", EVENTS), ("views", VIEWS), ("keys", KEYS)) for f in faults]
NEEDS_DISK = (full_for_rows, full_for_log)


@pytest.mark.parametrize(("store", "fault"), CASES, ids=[f"{store}-{fault.__name__}" for store, fault in CASES])
def test_clients_get_the_truth_or_503_and_the_service_recovers_by_itself(
    running: Running, store: str, fault: Fault
) -> None:
    server = running.stage.servers[store]
    if fault in NEEDS_DISK and not isinstance(server, SmallDiskServer):
        pytest.skip("no namespace in which a small file system could be mounted")
    with running.load() as load:
        load.go_on(20)
        load.told.refusals.clear()
        fault(server, load)
        recovered = load.go_on(12)
        load.go_on(20)
    told = load.told
    print(
        f"\n{store} {fault.__name__}: recovered {recovered:.2f} s after its end; {len(told.writes)} writes, "
        f"{sum(write.tries > 1 for write in told.writes)} of them repeated, {told.reads} reads, "
        f"503: {dict(told.refusals)}, longest answer {told.longest:.2f} s"
    )

    assert told.violations == []
    assert differences(running.stage, *running.told) == []
    assert sorted(running.stage.alive()) == ["api", "worker"]
    if fault is not cut_off:
        assert told.refusals, "nobody met the fault: this run proves nothing"
