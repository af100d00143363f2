"""Synthetic example values for the answers in the OpenAPI document."""

from __future__ import annotations

from typing import Any

ID = "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"
OTHER_ID = "5d4a64b2-5a3c-4f6e-8f5e-1f0f6c9d2b22"
THIRD_ID = "7f2f0ab8-0f58-4a52-a0e8-93b8a2a3e533"
TIME = "2026-03-01T09:30:00.000000Z"
LATER = "2026-03-31T09:30:00.000000Z"
RECEIPT: dict[str, Any] = {"event_ids": [THIRD_ID], "stream": ID, "version": 3, "position": 41}
MADE: dict[str, Any] = {"id": ID, "receipt": RECEIPT}
ERASED: dict[str, Any] = {"erased": {"at": TIME, "certificate_id": THIRD_ID}}
IDENTITY: dict[str, Any] = {
    "given_name": "Ada",
    "family_name": "Example",
    "birth_date": "1970-02-03",
    "email": "ada@example.org",
    "phone": "+1 555 0100",
    "address": {"lines": ["1 Sample Street"], "city": "Sampleton", "postal_code": "00001", "country": "US"},
    "time_zone": "America/New_York",
}


def done(**more: Any) -> dict[str, Any]:
    """Return the example answer of a command that made nothing new."""
    return {"id": ID, **more, "receipt": RECEIPT}


SIGNING_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    "use": "sig",
    "alg": "EdDSA",
}
