"""What became of a file's content: numbers by resource type and reason, and places. No content, no file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_PLACES = 1_000
"""Most places kept in a report; beyond it they are only counted."""


@dataclass
class Report:
    """Numbers and places. ``read`` counts resources by type, ``not_taken`` by (type, reason), ``details`` parts of
    resources."""

    files: int = 0
    read: Counter[str] = field(default_factory=Counter)
    not_taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    details: Counter[tuple[str, str]] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    places: list[dict[str, Any]] = field(default_factory=list)
    places_left_off: int = 0
    broken: int = 0

    def leave_out(self, type_: str, reason: str, file: int, index: int, fields: Sequence[str] = ()) -> None:
        """Count a resource that was not taken, and note its place, and the names of the fields that are the reason."""
        self.not_taken[type_, reason] += 1
        if len(self.places) < MOST_PLACES:
            place = {"file": file, "index": index, "resource": type_, "reason": reason}
            self.places.append(place | ({"fields": list(fields)} if fields else {}))
        else:
            self.places_left_off += 1

    def unreadable(self, reason: str, file: int, index: int) -> None:
        """Count something that could not be read at all."""
        self.broken += 1
        self.leave_out("(file)", reason, file, index)

    @property
    def complete(self) -> bool:
        """Return whether every file could be read and every person in them was taken."""
        return not self.broken and not self.people["refused"]

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "complete": self.complete,
            "files": self.files,
            "people": {name: self.people[name] for name in ("found", "new", "known", "refused")},
            "published": dict(sorted(self.published.items())),
            "resources": {
                type_: {
                    "read": self.read[type_],
                    "not_taken": {r: n for (t, r), n in sorted(self.not_taken.items()) if t == type_},
                }
                for type_ in sorted({*self.read, *(t for t, _ in self.not_taken)})
            },
            "details_not_taken": [
                {"resource": t, "reason": r, "count": n} for (t, r), n in sorted(self.details.items())
            ],
            "places": self.places,
            "places_left_off": self.places_left_off,
        }
