"""What a projection is to whoever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from psycopg2.extensions import cursor as Cursor

from domain.record import Record

PURGE = "ErasureKeysDestroyed"
"""The event at which every view purges. It is applied even where other events of its stream are parked: purging is
idempotent and needs no other event, and what is taken in after it is still stored as a tombstone."""


class Projection(ABC):
    """Takes the log in, record by record.

    The runner gives it exactly the next positions, in a transaction that it commits together with the new position;
    so an event is taken in once, whatever is delivered twice.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Raised with every change of tables or handlers: the view is then built anew."""
    tables: ClassVar[str]
    """DDL, each table as ``CREATE TABLE view_…``."""
    handles: ClassVar[frozenset[str]]
    """Event types it takes in; all others may be skipped, their positions still counted."""
    parks: ClassVar[bool] = True
    """Whether a record that cannot be taken in is set aside with its stream; ``False``: the projection halts."""

    @abstractmethod
    def apply(self, cursor: Cursor, record: Record) -> None:
        """Take one record in. Raises ``ViewsUnavailable`` (try again) or ``RecordUnfit``."""

    def apply_batch(self, cursor: Cursor, records: Sequence[Record]) -> None:
        """Take records in, in their order: the same as :meth:`apply` for each, and raises the same."""
        for record in records:
            self.apply(cursor, record)

    def tick(self, cursor: Cursor) -> None:
        """Do what is due without a record: called after each committed batch, and while there is nothing to read."""
        return
