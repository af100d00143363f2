"""Who calls, on what authority, and through which door."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from domain.errors import NotAllowed
from domain.record import Actor


@dataclass(frozen=True)
class Caller:
    """An authenticated principal with its roles and one purpose of use."""

    issuer: str
    id: str
    roles: frozenset[str]
    purpose: str | None
    producer: str
    correlation_id: UUID

    def actor(self, allowed: Collection[tuple[str, str]]) -> Actor:
        """Return the caller in the role that allows this. Raises :class:`NotAllowed` when none does."""
        if self.purpose is None:
            raise NotAllowed("purpose-missing", "the token states no purpose of use")
        for role in sorted(self.roles):
            if (role, self.purpose) in allowed:
                return Actor(self.issuer, self.id, role)
        raise NotAllowed("not-allowed", "this role has not the right to do this for this purpose of use")


def system_caller(name: str, producer: str, purpose: str, correlation_id: UUID) -> Caller:
    """Return the service itself as a caller: the saga, the schedule, the command line."""
    return Caller("casekeeper", name, frozenset({"system"}), purpose, producer, correlation_id)
