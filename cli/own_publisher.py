"""A publishing service of this copy's own: registered at first use, its signing key made from a secret of the
keyring."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from application.service import Service
from cli.first_answers import answered
from cli.local_service import operator


@dataclass(frozen=True)
class OwnPublisher:
    """A registered publisher and its private key as a JWK (RFC 8037)."""

    id: UUID
    private_key: Mapping[str, str]


def own_publisher(service: Service, name: str) -> OwnPublisher:
    """Return the publisher of that service name, registering it if need be; one that was revoked is replaced.

    Raises the service's errors, as ``StoreUnavailable`` and ``KeysUnavailable``.
    """
    for number in count(1):
        key = f"own-publisher-{name}-{number}"
        private = _jwk(service.vault.secret(key))
        found = answered(service, operator(), key)
        if found is None:
            body = {"service": name, "public_key": private["x"]}
            registered = service.execute("register_publisher", operator(), {}, body, key)
            return OwnPublisher(UUID(registered.body["id"]), private)
        publisher_id = UUID(found.body["id"])
        if not service.publisher(publisher_id).revoked:
            return OwnPublisher(publisher_id, private)
    raise AssertionError("unreachable")


def _jwk(seed: bytes) -> dict[str, str]:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": _text(public), "d": _text(seed)}


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
