"""The published events as JSON Schema, from the registry of fields (``python -m application.event_schemas FOLDER``)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from domain import vocabulary
from domain.events import EVENT_TYPES, Event
from domain.registry import ACTOR_ID, ENVELOPE, ID, Kind, Sealed, fields_of

_NULLABLE = frozenset({"case_id", "causation_id"})


def _closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


_IDEMPOTENCY = _closed_object(
    {
        "key": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "operation": {"type": "string"},
        "body_mac": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "mac_key_id": {"type": "string"},
        "status": {"type": "integer"},
        "answer": {"type": "object", "description": "Identifiers only"},
    }
) | {"description": "On the last record of a command that came under a key: keyed MACs of key and body, and its answer"}


def schema_of(event_class: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event type's record."""
    fields = fields_of(event_class)
    clear = {name: kind for name, kind in fields.items() if isinstance(kind, Kind)}
    sealed = {name: mark for name, mark in fields.items() if isinstance(mark, Sealed)}
    envelope = {
        name: {"anyOf": [kind.schema, {"type": "null"}]} if name in _NULLABLE else dict(kind.schema)
        for name, kind in ENVELOPE.items()
    }
    record = _closed_object(
        {
            **envelope,
            "type": {"const": event_class.TOPIC},
            "actor": _closed_object(
                {"issuer": ACTOR_ID.schema, "id": ACTOR_ID.schema, "role": {"enum": sorted(vocabulary.ROLES)}}
            ),
            "data": _closed_object({name: {"anyOf": [kind.schema, {"type": "null"}]} for name, kind in clear.items()}),
            "sealed": {
                "type": "object",
                "properties": {name: _sealed_part(mark.category) for name, mark in sealed.items()},
                "additionalProperties": False,
            },
        }
    )
    record["properties"]["idempotency"] = _IDEMPOTENCY
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event_class.TOPIC,
        "description": (event_class.__doc__ or "").strip(),
        **record,
    }


def write_all(folder: Path) -> None:
    """Write one file for each event type."""
    folder.mkdir(parents=True, exist_ok=True)
    for topic, event_class in EVENT_TYPES.items():
        text = json.dumps(schema_of(event_class), indent=2, sort_keys=True)
        (folder / f"{topic}.v{event_class.SCHEMA}.json").write_text(text + "\n")


def _sealed_part(category: str) -> dict[str, Any]:
    return _closed_object(
        {
            "subject_id": ID.schema,
            "category": {"const": category},
            "scope_id": ID.schema,
            "value": {"type": "string", "pattern": "^ck1\\.[A-Za-z0-9_-]+$"},
        }
    )


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
