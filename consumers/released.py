"""Puts streams that an operator has released back into a view, in order, as far as their records fit."""

from __future__ import annotations

import structlog
from psycopg2.extensions import connection as Connection

from application.logging import location
from consumers.set_aside import SetAside, cause_of
from consumers.unfit import errors_of_records
from domain.errors import RecordUnfit
from domain.record import Record
from projections import parking, positions
from projections.base import Projection
from projections.parking import ParkedRecord

log = structlog.get_logger()


class Released:
    """For the one runner that leads the view, in its thread."""

    def __init__(self, projection: Projection, aside: SetAside) -> None:
        self._projection = projection
        self._aside = aside

    def take(self, connection: Connection, position: int) -> None:
        """Take in every released stream, record by record; where one does not fit still, it and the rest stay parked.

        ``position`` is where the view is. Raises ``PositionMoved`` when it is not: somebody else leads it.
        """
        while self._next(connection, position):
            pass

    def _next(self, connection: Connection, position: int) -> bool:
        """Deal with one record; ``False`` when there is none left."""
        view, record = self._projection.name, None
        try:
            with connection, connection.cursor() as cursor:
                record = parking.next_released(cursor, view)
                if record is None:
                    return False
                positions.hold(cursor, view, position, self._projection.version)
                record = parking.next_released(cursor, view)
                if record is not None:
                    with errors_of_records(view, record.position, record.position):
                        self._projection.apply(cursor, Record.parse(record.position, record.value))
                    parking.unpark(cursor, view, record.position)
                    self._aside.look(cursor)
        except RecordUnfit as unfit:
            assert record is not None
            self._refuse(connection, position, record, unfit)
        return True

    def _refuse(self, connection: Connection, position: int, record: ParkedRecord, unfit: RecordUnfit) -> None:
        again = ParkedRecord(record.position, record.stream_id, record.value, unfit.reason, location(cause_of(unfit)))
        with connection, connection.cursor() as cursor:
            positions.hold(cursor, self._projection.name, position, self._projection.version)
            parking.refuse(cursor, self._projection.name, again)
        log.error(
            "record parked again", view=self._projection.name, position=record.position, stream_id=record.stream_id
        )
