"""What the inbox says of each message it carried out: one log line, and its metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from application import metrics
from consumers.inbox_handler import HELD, Handled, Outcome, Raw

log = structlog.get_logger()


@dataclass
class Note:
    """What became of a message, once that is known."""

    handled: Handled | None = None


@contextmanager
def noted(raw: Raw) -> Iterator[Note]:
    """Time the handling of a message, count it and log it. What is in ``HELD`` passes through: the message is held."""
    note, started = Note(), time.perf_counter()
    try:
        with bound_contextvars(**_place(raw)):
            yield note
    except HELD as error:
        metrics.INBOX_MESSAGES.inc("held")
        log.info("message held", **_place(raw), error=error)
        raise
    seconds = time.perf_counter() - started
    metrics.INBOX_SECONDS.observe(seconds)
    if note.handled is not None:
        _note(raw, note.handled, round(seconds * 1000, 1))


def _note(raw: Raw, handled: Handled, duration_ms: float) -> None:
    said: dict[str, Any] = {**_place(raw), "duration_ms": duration_ms}
    if handled.outcome is not None:
        said |= _outcome(handled.outcome)
    if handled.dead_letter is None:
        metrics.INBOX_MESSAGES.inc(said["state"])
        log.info("message handled", **said)
        return
    metrics.INBOX_MESSAGES.inc("deadletter")
    metrics.DEAD_LETTERS.inc("inbox", metrics.ERROR.known(handled.dead_letter.error))
    log.warning("message set aside", **said, error=handled.dead_letter.error, where=handled.dead_letter.where)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """Return the fields of a line that tell an outcome: of an accepted message, the position of its last event."""
    body = outcome.body
    said = {"message_id": outcome.message_id, "publisher_id": body["publisher_id"], "state": body["status"]}
    if body["status"] == "accepted":
        receipt = body["answer"]["receipt"]
        ids = receipt["event_ids"]
        return {**said, "event_id": ids[-1] if ids else None, "count": len(ids), "position": receipt["position"]}
    return {**said, "code": body["problem"]["type"].rpartition(":")[2]}


def _place(raw: Raw) -> dict[str, Any]:
    topic, partition, offset = raw.source.rsplit("/", 2)
    return {"topic": topic, "partition": int(partition), "offset": int(offset)}
