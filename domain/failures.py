"""What went wrong with some of what is done for several requests together, so that none holds up the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from domain.errors import CasekeeperError

Failures = dict[UUID, CasekeeperError]
"""What went wrong, by request."""


@contextmanager
def noted(failures: Failures, request_id: UUID) -> Iterator[None]:
    """Note under its request what goes wrong in the block, and go on with the others."""
    try:
        yield
    except CasekeeperError as error:
        failures[request_id] = error
