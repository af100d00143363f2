"""A PostgreSQL cluster that a test may crash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection as Connection

from ops.postgres import Cluster


@dataclass(frozen=True)
class OwnCluster:
    """A cluster that a test may crash, its log and its folder of data."""

    cluster: Cluster
    log: Path

    @property
    def data(self) -> Path:
        return (self.cluster.folder / "store" / "data").resolve()

    def administrator(self, database: str = "postgres") -> Connection:
        self.cluster.wait_ready()
        return self.cluster.connect(database)
