"""Publishing services."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from uuid import UUID

from application.unit_of_work import UnitOfWork
from domain.errors import FieldProblem, InvalidInput
from domain.publisher import Publisher
from domain.registry import PUBLIC_KEY

Ids = dict[str, UUID]


def register_publisher(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Let a service publish on the inbox, signing with this key."""
    _check_service(body["service"])
    _check_public_key(body["public_key"])
    publisher_id = work.new_id()
    work.made(Publisher.register(work.context, work.new_id(), publisher_id, body["service"], body["public_key"]))
    return {"id": str(publisher_id)}


def revoke_publisher(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Stop accepting a service's key."""
    publisher = work.load(Publisher, ids["publisher_id"])
    publisher.revoke(work.context, work.new_id())
    return {"id": str(publisher.id), "state": "revoked"}


def _check_service(name: str) -> None:
    # Token issuers stand for people; a service's messages must not look like theirs.
    if name.startswith("casekeeper"):
        raise InvalidInput([FieldProblem("service", "must not begin with casekeeper, the name of our own issuers")])


def _check_public_key(text: str) -> None:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != 32 or not PUBLIC_KEY.conforms(text):
        raise InvalidInput([FieldProblem("public_key", "must be an Ed25519 public key, base64url (RFC 8037)")])
