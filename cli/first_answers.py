"""What the service answered to something that was done before: how an import knows what it need not do again.

The service remembers every message of the inbox by a keyed hash of its id, with the identifiers it answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from application.caller import Caller
from application.service import Service


@dataclass(frozen=True)
class FirstAnswer:
    """Whether it was accepted, and the answer: identifiers, or the problem document."""

    accepted: bool
    body: Mapping[str, Any]


def answered_to_message(service: Service, publisher: str, message_id: UUID) -> FirstAnswer | None:
    """Return the first answer to a message that a publishing service put on the inbox."""
    caller = Caller(publisher, publisher, frozenset({"service"}), None, "inbox", uuid4())
    return answered(service, caller, f"inbox:{message_id}")


def answered(service: Service, caller: Caller, key: str) -> FirstAnswer | None:
    """Return the first answer to a caller's idempotency key. Raises ``StoreUnavailable``, ``KeysUnavailable``."""
    found = service.log.find_idempotent(service.idempotency.key(caller, key))
    return None if found is None else FirstAnswer(found.status < 400, found.answer)
