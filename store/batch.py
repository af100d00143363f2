"""A batch of commands as the arguments of ``append_commands``, and its rows as results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID

from domain.errors import (
    AlreadyDone,
    ConcurrencyConflict,
    Fenced,
    IdempotencyKeyReused,
    StoreUnavailable,
)
from store.append import AppendCommand, Appended, AppendResult, Fence, Idempotency, NewEvent

APPEND = (
    "SELECT command, outcome, positions, about, status, answer FROM append_commands("
    "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
REFILL = "SELECT refill_events(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
REMEMBER = "SELECT remember_outcomes(%s)"
Row = tuple[int, str, list[int], list[UUID], int | None, str | None]


def arguments(at_least: int, commands: Sequence[AppendCommand]) -> list[Any]:
    """Return the arguments of :data:`APPEND`, see the function's own description."""
    numbered = list(enumerate(commands, 1))
    events = [event for command in commands for event in command.events]
    written = [{event.stream_id for event in command.events} for command in commands]
    expected = [(n, stream, v) for n, command in numbered for stream, v in command.expected().items()]
    fences = [(n, command.events[-1], fence) for n, command in numbered for fence in command.fences]
    return [
        len(commands),
        at_least,
        *_records(events),
        _array(n for n, command in numbered for _ in command.events),
        *_event_columns(events),
        _array(n for n, _, _ in expected),
        _array(stream for _, stream, _ in expected),
        _array(version for _, _, version in expected),
        _array(stream in written[n - 1] for n, stream, _ in expected),
        _array(n for n, command in numbered for _ in command.uses),
        _array(used for command in commands for used in command.uses),
        json.dumps([{"command": n, **_fence(event.event_id, fence)} for n, event, fence in fences]) if fences else None,
        json.dumps(idempotent)
        if (idempotent := [_idempotent(n, command) for n, command in numbered if command.idempotency])
        else None,
    ]


def refill_arguments(position: int, events: Sequence[NewEvent], fences: Sequence[tuple[UUID, Fence]]) -> list[Any]:
    """Return the arguments of :data:`REFILL`; fences come with the id of the event they follow from."""
    implied = json.dumps([_fence(event_id, fence) for event_id, fence in fences])
    return [position, *_records(events), *_event_columns(events), implied]


def remember_arguments(remembered: Sequence[tuple[UUID, Idempotency]]) -> list[Any]:
    """Return the arguments of :data:`REMEMBER`; answers come with the id of the event that carries them."""
    return [json.dumps([_remembered(event_id, answer) for event_id, answer in remembered])]


def results(commands: Sequence[AppendCommand], rows: Iterable[Row]) -> list[AppendResult | None]:
    """Return what became of each command: its positions, the error to raise, or ``None``: send it again."""
    by_command = {row[0]: row for row in rows}
    position = by_command[0][2][0]
    found: list[AppendResult | None] = []
    for n, command in enumerate(commands, 1):
        row = by_command.get(n)
        if row is None:
            found.append(Appended(tuple(range(position + 1, position + 1 + len(command.events)))))
            position += len(command.events)
        else:
            found.append(None if row[1] == "again" else _refusal(row))
    return found


def uuids(values: Iterable[UUID]) -> str:
    """Return an array literal."""
    return _array(values)


def _records(events: Sequence[NewEvent]) -> tuple[str, bool]:
    together = b"".join([event.record for event in events])
    try:
        text = together.decode()
    except UnicodeDecodeError:
        return together.hex(), True
    return (together.hex(), True) if "\0" in text else (text, False)


def _event_columns(events: Sequence[NewEvent]) -> list[str]:
    sizes = [len(event.record) for event in events]
    return [
        _array(event.event_id for event in events),
        _array(event.stream_id for event in events),
        _array(event.version for event in events),
        _array(_quoted(event.type) for event in events),
        _array(end - size + 1 for end, size in zip(accumulate(sizes), sizes, strict=True)),
        _array(sizes),
    ]


def _fence(event_id: UUID, fence: Fence) -> dict[str, str]:
    return {
        "event": str(event_id),
        "id": str(fence.fenced_id),
        "kind": fence.kind,
        "certificate": str(fence.certificate_id),
        "at": fence.at.isoformat(),
    }


def _idempotent(n: int, command: AppendCommand) -> dict[str, Any]:
    assert command.idempotency is not None
    event_id = command.events[-1].event_id if command.events else None
    return {"command": n, "attempt": str(command.attempt_id), **_remembered(event_id, command.idempotency)}


def _remembered(event_id: UUID | None, idempotency: Idempotency) -> dict[str, Any]:
    event = str(event_id) if event_id else None
    return {"event": event, **idempotency.to_json(), "answer": json.dumps(dict(idempotency.answer))}


def _array(values: Iterable[object]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refusal(row: Row) -> AppendResult:
    _, kind, positions, about, status, answer = row
    if kind == "stored":
        return Appended(tuple(positions))
    if kind == "conflict":
        return ConcurrencyConflict(about[0])
    if kind == "fenced":
        return Fenced(about)
    if kind == "done":
        return AlreadyDone(status or 0, json.loads(answer or "{}"), positions[0])
    if kind == "reused":
        return IdempotencyKeyReused("the idempotency key was used with another body or operation")
    if kind == "rekeyed":
        return StoreUnavailable("the idempotency key was just used under another MAC key: look it up and compare")
    return StoreUnavailable("the event store takes no writes until its head was compared with what is known outside")
