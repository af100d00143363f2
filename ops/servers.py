"""The servers a run needs: embedded ones for whatever the settings do not name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from application.settings import Settings, variable
from ops.errors import LocalServerError
from ops.files import private_folder
from ops.kafka import broker as kafka
from ops.postgres import STOP, Cluster
from ops.roles import CLUSTERS, EVENTS, KEYS, OWNER, VIEWS, provision
from ops.supervisor import Service

_DATABASES = {"events_dsn": ("pg-main", EVENTS), "views_dsn": ("pg-main", VIEWS), "keys_dsn": ("pg-keys", KEYS)}

BROKERS_ADVICE = f"start it, or correct {variable('kafka')} (host:port, comma-separated)"
"""What to do about brokers of the user's that do not answer."""
SERVER_NAMES = (*CLUSTERS, "kafka")
"""Names of the servers among a run's processes; they are ended after the processes that use them."""


class LocalServers:
    """The embedded clusters and the local broker of a home, as far as ``settings`` names none."""

    def __init__(self, settings: Settings) -> None:
        home = settings.home_path
        self._settings = settings
        self._logs = home / "logs"
        needed = {cluster for field, (cluster, _) in _DATABASES.items() if not getattr(settings, field)}
        self._clusters = {name: Cluster(home / name) for name in CLUSTERS if name in needed}
        self._broker = None if settings.kafka else kafka.Broker(home / "kafka")

    def databases(self) -> list[Service]:
        """Return the clusters to keep running."""
        return [self._cluster(cluster) for cluster in self._clusters.values()]

    def brokers(self) -> list[Service]:
        """Return the broker to keep running, if it is ours."""
        if self._broker is None:
            return []
        start = self._broker.start
        return [Service("kafka", lambda: start(self._log("kafka")), stop=kafka.STOP)]

    def wait_for_databases(self, waiting: Callable[[], None]) -> None:
        """Return when every cluster takes connections and has its roles and databases."""
        for cluster in self._clusters.values():
            cluster.wait_ready(waiting)
            provision(cluster)

    def wait_for_broker(self, waiting: Callable[[], None]) -> None:
        """Return when the broker, if it is ours, takes connections."""
        if self._broker is not None:
            self._broker.wait_ready(waiting)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Run the clusters, without a supervisor, for the time of the block."""
        private_folder(self._logs)
        try:
            for name, cluster in self._clusters.items():
                cluster.start(self._log(name))
            self.wait_for_databases(lambda: None)
            yield
        finally:
            for cluster in self._clusters.values():
                cluster.stop()

    def environment(self, role: str) -> dict[str, str]:
        """Return the variables by which a process reaches the servers, connecting to embedded databases as ``role``."""
        variables = {}
        for field, (cluster, database) in _DATABASES.items():
            given = getattr(self._settings, field)
            variables[variable(field)] = given or self._clusters[cluster].dsn(role, database)
        variables[variable("kafka")] = self._settings.kafka or (self._broker.address if self._broker else "")
        return variables

    def _cluster(self, cluster: Cluster) -> Service:
        return Service(cluster.name, lambda: cluster.start(self._log(cluster.name)), stop=STOP)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def owner_dsns(home: Path) -> tuple[str, str]:
    """Return the connection strings of the events and the keys database for their owner.

    The environment's if it says so, else those of a home's embedded clusters. Raises LocalServerError if it has none.
    """
    events, keys = (
        os.environ.get(variable(field)) or _owner_dsn(home / cluster, database)
        for field, (cluster, database) in _DATABASES.items()
        if field != "views_dsn"
    )
    return events, keys


def _owner_dsn(folder: Path, database: str) -> str:
    if not (folder / "port").exists():
        raise LocalServerError(f"no database: start casekeeper up, or set {variable('events_dsn')} and its like")
    return Cluster(folder).dsn(OWNER, database)
