"""A certificate and a supplement as they could be, made by hand, and keys of their own to sign them with."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SUBJECT, REQUEST, CERTIFICATE_ID, SCOPE, KEPT, RECIPIENT, DISCLOSURE, FENCED, DESTROYED, CERTIFIED, TOLD = (
    f"0000000{n:x}-0000-4000-8000-000000000000" for n in range(1, 12)
)


def at(minute: int) -> str:
    return f"2026-03-01T10:{minute:02}:00.000000Z"


CERTIFICATE: dict[str, Any] = {
    "document": "erasure_certificate",
    "format": 1,
    "certificate_id": CERTIFICATE_ID,
    "request_id": REQUEST,
    "subject_id": SUBJECT,
    "whole_person": False,
    "fenced_at": at(1),
    "destroyed_at": at(2),
    "unrecoverable_after": at(3),
    "certified_at": at(4),
    "inbox_keys_destroyed_by": at(50),
    "index_residue_until": at(55),
    "suppressed_until": at(58),
    "events": {"fenced": FENCED, "destroyed": DESTROYED, "certified": CERTIFIED},
    "processes": {"acknowledged": 3, "unanswered": 0},
    "scopes": [{"scope_id": SCOPE, "category": "medical", "case_id": None}],
    "withheld": [
        {"scope_id": KEPT, "category": "payment", "case_id": None, "ground": "accounting_duty", "review_date": at(5)}
    ],
    "root_epochs": {"before": 3, "after": 4},
    "fingerprints": ["ab" * 16],
    "views": {"people": 12},
    "recipients": [{"recipient_id": RECIPIENT, "disclosure_ids": [DISCLOSURE], "due": at(6)}],
    "not_proven": ["data already disclosed to recipients"],
}


def supplement(certificate: str, **changes: Any) -> dict[str, Any]:
    return {
        "document": "erasure_supplement",
        "format": 1,
        "certificate_id": CERTIFICATE_ID,
        "request_id": REQUEST,
        "certificate_sha256": hashlib.sha256(certificate.encode()).hexdigest(),
        "number": 1,
        "recorded_at": at(8),
        "event_id": TOLD,
        "fact": "RecipientNotifiedOfErasure",
        "data": {
            "request_id": REQUEST,
            "certificate_id": CERTIFICATE_ID,
            "recipient_id": RECIPIENT,
            "channel": "email",
            "sent": at(7),
            "delivery": "delivered",
        },
        **changes,
    }


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Signer:
    """An Ed25519 key, and compact JWS made with it byte by byte (RFC 7515, section 7.1)."""

    def __init__(self, seed: int) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.x = b64(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        thumbprint = f'{{"crv":"Ed25519","kty":"OKP","x":"{self.x}"}}'  # RFC 7638 and RFC 8037
        self.kid = b64(hashlib.sha256(thumbprint.encode()).digest())
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.kid}

    def sign(self, payload: Any, **header: Any) -> str:
        said = {"alg": "EdDSA", "kid": self.kid, "typ": "casekeeper-certificate+jws", **header}
        content = payload if isinstance(payload, bytes) else json.dumps(payload, sort_keys=True, separators=(",", ":"))
        content = content if isinstance(content, bytes) else content.encode()
        signed = f"{b64(json.dumps(said, separators=(',', ':')).encode())}.{b64(content)}"
        return f"{signed}.{b64(self._key.sign(signed.encode()))}"


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one field, named by a dotted path, set to another value, or left out when that is ``...``."""
    made = copy.deepcopy(document)
    *above, last = path.split(".")
    inside = made
    for name in above:
        inside = inside[int(name) if isinstance(inside, list) else name]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    return made
