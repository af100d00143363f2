"""The form of a certificate of erasure and of its supplements: which fields, each of which clear kind, and no others.

What is signed stays for ever, in the log and in other people's hands, so it is held to the same kinds as the clear
fields of events: identifiers, closed enumerations, numbers and times. The one text, ``not_proven``, is ours.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from domain import vocabulary
from domain.registry import (
    FINGERPRINTS,
    FLAG,
    ID,
    IDS,
    NUMBER,
    TIME,
    Kind,
    several,
    text,
    word,
)

CERTIFICATE = "erasure_certificate"
SUPPLEMENT = "erasure_supplement"
FORMAT = 1

_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")


def _thing(name: str, **fields: Kind) -> Kind:
    """Return the kind of an object with exactly these fields."""
    schema = {
        "type": "object",
        "properties": {field: dict(kind.schema) for field, kind in fields.items()},
        "required": sorted(fields),
        "additionalProperties": False,
    }
    return Kind(name, schema, lambda value: isinstance(value, dict) and not _misfits(fields, value))


def _optional(kind: Kind) -> Kind:
    return Kind(
        kind.name, {"anyOf": [kind.schema, {"type": "null"}]}, lambda value: value is None or kind.conforms(value)
    )


def _misfits(fields: Mapping[str, Kind], value: Mapping[str, Any]) -> list[str]:
    """Return the names of fields that are missing or not of their kind; ``(unnamed)`` for one that nobody declared."""
    wrong = [name for name, kind in fields.items() if name not in value or not kind.conforms(value[name])]
    return wrong + (["(unnamed)"] if value.keys() - fields.keys() else [])


_SCOPE: Mapping[str, Kind] = {
    "scope_id": ID,
    "category": word("category", vocabulary.CATEGORIES),
    "case_id": _optional(ID),
}
_DIGEST = text("digest", r"[0-9a-f]{64}")
_VIEW = re.compile(r"[a-z][a-z_]{0,39}")
_VIEWS = Kind(
    "views",
    {"type": "object", "propertyNames": {"pattern": f"^{_VIEW.pattern}$"}, "additionalProperties": NUMBER.schema},
    lambda value: isinstance(value, dict) and all(_VIEW.fullmatch(k) and NUMBER.conforms(v) for k, v in value.items()),
)
"""View to position. Views come and go: a certificate holds longer than the list of today's."""
_CHANNEL = word("channel", vocabulary.CHANNELS)

_FACTS: Mapping[str, Mapping[str, Kind]] = {
    "RecipientNotifiedOfErasure": {
        "recipient_id": ID,
        "channel": _CHANNEL,
        "sent": TIME,
        "delivery": word("delivery", vocabulary.DELIVERIES),
    },
    "RecipientAcknowledgedErasure": {"recipient_id": ID, "channel": _CHANNEL, "acknowledged": TIME},
    "PaperRecordsDestroyed": {
        "report_id": ID,
        "method": word("destruction_method", vocabulary.DESTRUCTION_METHODS),
        "documents": NUMBER,
        "destroyed": TIME,
    },
}
"""The clear fields of the events that a supplement reports, beside the two that name the certificate."""

_FORMS: Mapping[str, Mapping[str, Kind]] = {
    CERTIFICATE: {
        "document": word("document", {CERTIFICATE}),
        "format": NUMBER,
        "certificate_id": ID,
        "request_id": ID,
        "subject_id": ID,
        "whole_person": FLAG,
        "fenced_at": TIME,
        "destroyed_at": TIME,
        "unrecoverable_after": TIME,
        "certified_at": TIME,
        "inbox_keys_destroyed_by": TIME,
        "index_residue_until": TIME,
        "suppressed_until": _optional(TIME),
        "events": _thing("events", fenced=ID, destroyed=ID, certified=ID),
        "processes": _optional(_thing("processes", acknowledged=NUMBER, unanswered=NUMBER)),
        "scopes": several("scopes", _thing("scope", **_SCOPE)),
        "withheld": several(
            "withheld",
            _thing(
                "withheld_scope",
                **_SCOPE,
                ground=word("withholding_ground", vocabulary.WITHHOLDING_GROUNDS),
                review_date=_optional(TIME),
            ),
        ),
        "root_epochs": _thing("root_epochs", before=NUMBER, after=NUMBER),
        "fingerprints": FINGERPRINTS,
        "views": _VIEWS,
        "recipients": several("recipients", _thing("recipient", recipient_id=ID, disclosure_ids=IDS, due=TIME)),
        "not_proven": several("not_proven", text("statement", r"[A-Za-z0-9 ,.:;()'_-]{1,300}")),
    },
    SUPPLEMENT: {
        "document": word("document", {SUPPLEMENT}),
        "format": NUMBER,
        "certificate_id": ID,
        "request_id": ID,
        "certificate_sha256": _DIGEST,
        "number": NUMBER,
        "recorded_at": TIME,
        "event_id": ID,
        "fact": word("fact", _FACTS),
        "data": Kind("data", {"type": "object"}, lambda value: isinstance(value, dict)),
    },
}


def misfits(document: Any) -> list[str]:
    """Return what is wrong with the form of a signed document: names of fields, ``document`` when it is none of ours.

    A supplement's ``data`` has the fields of the event that it reports.
    """
    form = _FORMS.get(str(document.get("document"))) if isinstance(document, dict) else None
    if form is None or document.get("format") != FORMAT:
        return ["document"]
    wrong = _misfits(form, document)
    if form is _FORMS[SUPPLEMENT] and not wrong:
        kinds = {"request_id": ID, "certificate_id": ID, **_FACTS[document["fact"]]}
        wrong = [f"data.{name}" for name in _misfits(kinds, document["data"])]
    return wrong


def payload_of(jws: str) -> Any:
    """Return what a compact JWS signs, its signature not looked at. Raises ``ValueError`` when it is none."""
    if _JWS.fullmatch(jws) is None:
        raise ValueError("not a compact JWS of an Ed25519 signature")
    payload = jws.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def _conforms(value: Any) -> bool:
    try:
        return isinstance(value, str) and not misfits(payload_of(value))
    except ValueError:
        return False


SIGNED_DOCUMENT = Kind("signed_document", {"type": "string", "pattern": f"^{_JWS.pattern}$"}, _conforms)
"""The kind of a signed certificate or supplement: what it says is itself of known kinds only."""
