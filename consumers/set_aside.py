"""The streams that one view does not take in: told apart at no cost where there are none, kept in order otherwise."""

from __future__ import annotations

from uuid import UUID

import structlog
from psycopg2.extensions import cursor as Cursor

from application import metrics
from application.logging import location
from consumers.dead_letters import DeadLetter, DeadLetters
from consumers.published import Published
from consumers.unfit_limits import WINDOW, UnfitLimits
from domain.errors import RecordUnfit
from projections import parking
from projections.parking import ParkedRecord

log = structlog.get_logger()


class SetAside:
    """What a view has parked or discarded. For the one runner that leads the view.

    The streams are remembered here, so that a view without any asks the database nothing. Only this runner adds to
    them; others can merely discard what is parked.
    """

    def __init__(self, view: str, dead_letters: DeadLetters) -> None:
        self._view = view
        self._dead_letters = dead_letters
        self._keys: set[bytes] = set()

    def prepare(self, cursor: Cursor, position: int) -> UnfitLimits:
        """Make the tables if need be and look at what is set aside; return the limits, which take account of it."""
        parking.prepare(cursor)
        if position == 0:
            parking.forget(cursor, self._view)
        self.look(cursor)
        causes = parking.causes_since(cursor, self._view, position - WINDOW)
        return UnfitLimits(self._view, [position - at for at in causes])

    def look(self, cursor: Cursor) -> None:
        """Read anew which streams are set aside."""
        self._keys = {str(stream_id).encode() for stream_id in parking.set_aside(cursor, self._view)}

    def holds(self, published: Published) -> bool:
        """Return whether a record's stream is set aside."""
        return published.key in self._keys

    def fate(self, cursor: Cursor, published: Published) -> str:
        """Return what becomes of a record: ``taken`` in, ``parked``, or ``discarded``."""
        return parking.fate(cursor, self._view, UUID(published.key.decode())) if self.holds(published) else "taken"

    def park(self, cursor: Cursor, published: Published, unfit: RecordUnfit | None = None) -> None:
        """Set a record aside in this transaction, and put it among the dead letters. Raises ``KafkaUnavailable``.

        ``unfit``: why it does not fit; ``None`` when it only follows one that does not. It is raised where the record
        names no stream, for then nobody can say what has to wait.
        """
        try:
            stream_id = UUID(published.key.decode())
        except ValueError:
            raise unfit or RecordUnfit(self._view, published.position, published.position, "no stream") from None
        reason = unfit.reason if unfit else parking.FOLLOWS
        place = location(cause_of(unfit)) if unfit else "unknown"
        parking.park(cursor, self._view, ParkedRecord(published.position, stream_id, published.value, reason, place))
        self._keys.add(published.key)
        # Last in the transaction: where the database refuses the row, no letter is written either.
        source = f"{self._view}/{published.position}"
        self._dead_letters.put(DeadLetter(published.key, published.value, source, RecordUnfit.__name__, place))
        metrics.DEAD_LETTERS.inc(metrics.PART.known(self._view), RecordUnfit.__name__)
        log.error("record parked", view=self._view, position=published.position, stream_id=stream_id, where=place)


def cause_of(unfit: RecordUnfit) -> BaseException:
    """Return the exception that a record met first: where that was raised is the place worth knowing."""
    return unfit.__context__ or unfit
