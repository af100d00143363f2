"""What may be shown of a record that does not fit: fields of their declared kind. Sealed parts are named, not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from domain.events import EVENT_TYPES
from domain.registry import ACTOR_ID, ENVELOPE, Kind, fields_of
from domain.vocabulary import CATEGORIES, ROLES

WITHHELD = "(withheld: not of its kind)"
UNREADABLE = "(no record)"


def clear_fields(value: bytes) -> dict[str, Any]:
    """Return the clear fields of a record as a flat object; under ``sealed``, the category of each sealed field.

    A value that is not of the kind declared for its field is withheld, and a field that is not declared is only
    counted: what does not fit may be anything. Of bytes that are no record, the size is told and nothing else.
    """
    try:
        record = json.loads(value)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return {"record": UNREADABLE, "bytes": len(value)}
    type_ = record.get("type")
    event_class = EVENT_TYPES.get(type_) if isinstance(type_, str) else None
    declared = fields_of(event_class) if event_class else {}
    clear = {name: kind for name, kind in declared.items() if isinstance(kind, Kind)}
    data, sealed = _object(record, "data"), _object(record, "sealed")
    return {
        "type": type_ if event_class else WITHHELD,
        **dict(_conforming(ENVELOPE, record)),
        **_actor(_object(record, "actor")),
        **{f"data.{name}": shown for name, shown in _conforming(clear, data)},
        "sealed": {name: _category(part) for name, part in sealed.items() if name in declared and name not in clear},
        "undeclared": len(data.keys() - clear.keys()) + len(sealed.keys() - (declared.keys() - clear.keys())),
        "bytes": len(value),
    }


def _conforming(kinds: Mapping[str, Kind], given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, kind in kinds.items():
        if given.get(name) is not None:
            yield name, given[name] if kind.conforms(given[name]) else WITHHELD


def _actor(actor: Mapping[str, Any]) -> Mapping[str, Any]:
    role, id_ = actor.get("role"), actor.get("id")
    return {
        "actor.role": role if isinstance(role, str) and role in ROLES else WITHHELD,
        "actor.id": id_ if ACTOR_ID.conforms(id_) else WITHHELD,
    }


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _category(part: Any) -> str:
    category = part.get("category") if isinstance(part, dict) else None
    return category if isinstance(category, str) and category in CATEGORIES else WITHHELD
