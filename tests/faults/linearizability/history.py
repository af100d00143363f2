"""What clients asked of the log and what they were told, operation by operation, as JSON lines.

An *object* is what an operation is about, checked apart from all others: a stream (``stream:…``), an idempotency key
(``key:…``), or the order of the whole log during one round (``order:…``).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Operation:
    """One call. Times are nanoseconds of one clock; ``ended`` and ``output`` are ``None`` where no answer ever came."""

    object: str
    client: int
    call: int
    ended: int | None
    input: Mapping[str, Any]
    output: Mapping[str, Any] | None

    def line(self) -> str:
        """Return the operation as the checkers read it."""
        fields = asdict(self)
        fields["return"] = fields.pop("ended")
        return json.dumps(fields, separators=(",", ":"))


def write(operations: Iterable[Operation], file: Path) -> None:
    """Write a history."""
    with open(file, "w") as stream:
        stream.writelines(f"{operation.line()}\n" for operation in operations)


def by_object(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Return the operations of each object, in the order of their calls."""
    found: dict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(operations, key=lambda operation: operation.call):
        found[operation.object].append(operation)
    return found
