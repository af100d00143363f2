"""What a projection raises over a record it cannot take in, under one name, whatever it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from domain.errors import CasekeeperError, RecordUnfit


@contextmanager
def errors_of_records(view: str, first: int, last: int) -> Iterator[None]:
    """Raise ``RecordUnfit`` for any error that reading or applying the records at these positions ends in.

    Errors of ours, the driver's and want of memory pass through: a record is not to blame for them.
    """
    try:
        yield
    except (CasekeeperError, psycopg2.Error, MemoryError):
        raise
    except Exception as error:
        raise RecordUnfit(view, first, last, type(error).__name__) from None
