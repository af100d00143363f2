"""The ``eventsourcing`` persistence module on psycopg2: ``PERSISTENCE_MODULE=store.persistence``.

Environment: ``CASEKEEPER_EVENTS_DSN``, the connection string of a migrated event store (``store.migrate``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

from eventsourcing.persistence import InfrastructureFactory, InfrastructureFactoryError
from eventsourcing.utils import Environment, EnvType, resolve_topic

from store.connection import Connections
from store.log import EventLog
from store.recorders import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresProcessRecorder,
    PostgresTrackingRecorder,
)


class PostgresFactory(InfrastructureFactory[PostgresTrackingRecorder]):
    """Makes recorders that share one log and a few connections. Raises ``InfrastructureFactoryError`` without a DSN."""

    EVENTS_DSN = "CASEKEEPER_EVENTS_DSN"

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        dsn = self.env.get(self.EVENTS_DSN)
        if not dsn:
            raise InfrastructureFactoryError(f"{self.EVENTS_DSN} is not set")
        self._dsn = dsn
        self._connections = Connections(dsn, "casekeeper recorders", size=8)
        self.log = EventLog(dsn)

    def aggregate_recorder(self, purpose: str = "events") -> PostgresAggregateRecorder:
        """Return a recorder for records of one purpose, such as snapshots, apart from the log."""
        return PostgresAggregateRecorder(self._connections, purpose)

    def application_recorder(self) -> PostgresApplicationRecorder:
        """Return the log as a recorder, or the class named in ``APPLICATION_RECORDER_TOPIC``."""
        chosen = self._chosen(self.APPLICATION_RECORDER_TOPIC, PostgresApplicationRecorder)
        return cast(PostgresApplicationRecorder, chosen(self.log, self._connections, self._dsn))

    def tracking_recorder(
        self, tracking_recorder_class: type[PostgresTrackingRecorder] | None = None
    ) -> PostgresTrackingRecorder:
        """Return a tracking recorder of the given class, or the one named in ``TRACKING_RECORDER_TOPIC``."""
        chosen = tracking_recorder_class or self._chosen(self.TRACKING_RECORDER_TOPIC, PostgresTrackingRecorder)
        return cast(PostgresTrackingRecorder, chosen(self._connections))

    def process_recorder(self) -> PostgresProcessRecorder:
        """Return the log with tracking, or the class named in ``PROCESS_RECORDER_TOPIC``."""
        chosen = self._chosen(self.PROCESS_RECORDER_TOPIC, PostgresProcessRecorder)
        return cast(PostgresProcessRecorder, chosen(self.log, self._connections, self._dsn))

    def close(self) -> None:
        """Close the log and its connections."""
        with suppress(AttributeError):
            self.log.close()
            self._connections.close()

    def _chosen(self, setting: str, default: type) -> Any:
        topic = self.env.get(setting)
        return resolve_topic(topic) if topic else default
