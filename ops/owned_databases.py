"""The events and the keys database for a command of their owner, also while no copy runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from application.settings import Settings
from ops.errors import LocalServerError
from ops.runtime import Runtime, locked
from ops.servers import LocalServers, owner_dsns


@contextmanager
def running_databases(settings: Settings) -> Iterator[tuple[str, str]]:
    """Give the connection strings of the events and the keys database, as their owner, of whatever runs now.

    Embedded servers that do not run are started for the time of the block. Raises LocalServerError, also where there
    is no installation at all.
    """
    clusters = {"pg-main": settings.events_dsn, "pg-keys": settings.keys_dsn}
    if missing := [name for name, dsn in clusters.items() if not dsn and not (settings.home_path / name).exists()]:
        raise LocalServerError(f"no installation in {settings.home_path}: no {' and no '.join(missing)}")
    left = Runtime.read(settings.home_path)
    if left is not None and left.is_live():
        yield owner_dsns(settings.home_path)
        return
    with stopped_databases(settings) as dsns:
        yield dsns


@contextmanager
def stopped_databases(settings: Settings) -> Iterator[tuple[str, str]]:
    """Give both connection strings while no copy runs in this home, and keep one from starting meanwhile.

    Embedded servers are started for the time of the block. Raises LocalServerError, also when a copy runs.
    """
    with locked(settings.home_path):
        if Runtime.read(settings.home_path) is not None:
            raise LocalServerError("an earlier run did not end well: casekeeper up and Ctrl-C put it in order")
        servers = LocalServers(settings)
        with servers.started():
            yield owner_dsns(settings.home_path)
