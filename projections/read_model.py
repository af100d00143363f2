"""A projection whose rows are tables: handlers say what changes, this module batches, purges and maps errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg2
from psycopg2.extensions import cursor as Cursor

from domain.errors import RecordUnfit, ViewsUnavailable
from domain.record import Record
from projections.base import PURGE, Projection
from projections.purges import SealedColumn, purge, tombstones
from projections.writes import Writes

_NOT_THE_RECORD = ("08", "25", "28", "40", "53", "55", "57", "58", "F0", "XX", "42501")
"""SQLSTATE classes, and one state, that tell of the server and not of what it was given: no connection, read-only, no
right, rolled back, no room, locked, told to stop, broken. Whatever the record, it would have met them."""

Handler = Callable[[Record, Writes], None]
Handlers = Mapping[str, Handler]

_PROBE_INDEXES = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
"""Every change here is by key. Without statistics, as on a view being built, the planner would read whole tables."""


class ReadModel(Projection):
    """A view: its ``handlers`` by event type, and the ``sealed`` columns that are purged when keys are destroyed."""

    handlers: ClassVar[Handlers]
    sealed: ClassVar[tuple[SealedColumn, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Declare what the view handles, always the purge among it, and index what a purge looks for."""
        super().__init_subclass__(**options)
        if "tables" in vars(cls):
            cls.tables += "".join(column.index for column in cls.sealed)
        cls.handles = frozenset(cls.handlers) | {PURGE}

    def apply(self, cursor: Cursor, record: Record) -> None:
        """Take one record in. Raises ``ViewsUnavailable`` or ``RecordUnfit``."""
        self.apply_batch(cursor, (record,))

    def apply_batch(self, cursor: Cursor, records: Sequence[Record]) -> None:
        """Take records in, in their order, all or none with the transaction. Raises like :meth:`apply`."""
        handled = [record for record in records if record.type in self.handles]
        if not handled:
            return
        with _errors_mapped(self.name, handled):
            cursor.execute(_PROBE_INDEXES)
            writes = Writes(cursor, tombstones(cursor, self.name, handled) if self.sealed else {})
            for record in handled:
                if record.type == PURGE:
                    writes.flush()
                    writes.erased(purge(cursor, self.name, self.sealed, record))
                if handler := self.handlers.get(record.type):
                    handler(record, writes)
            writes.flush()
            self.applied(cursor, handled)

    def applied(self, cursor: Cursor, records: Sequence[Record]) -> None:
        """Do what else these records call for, once their rows are written. Raises like :meth:`apply`."""
        return


@contextmanager
def _errors_mapped(view: str, records: Sequence[Record]) -> Iterator[None]:
    """Turn the driver's errors, and those of a malformed record, into ours: their texts may quote a row's values."""
    try:
        yield
    except (psycopg2.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = getattr(error, "pgcode", None) or type(error).__name__
        if isinstance(error, psycopg2.Error) and _of_server(error):
            raise ViewsUnavailable(f"view {view} cannot be written (SQLSTATE {error.pgcode})") from None
        raise RecordUnfit(view, records[0].position, records[-1].position, reason) from None


def _of_server(error: psycopg2.Error) -> bool:
    if error.pgcode:
        return error.pgcode.startswith(_NOT_THE_RECORD)
    # Without a state it is the connection that failed, or the driver found no way to write a value down.
    return not isinstance(error, psycopg2.ProgrammingError | psycopg2.DataError)
