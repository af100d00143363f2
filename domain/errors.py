"""Every exception casekeeper raises on purpose, in one tree.

::

    CasekeeperError
    ├── RetriableError                  the same call may succeed later
    │   ├── ConcurrencyConflict         a stream that the decision read has moved
    │   ├── StoreUnavailable            the event store cannot be reached
    │   │   └── OutcomeUnknown          it went away while it was appending: call again with the same command
    │   ├── ViewsUnavailable            the views cannot be reached
    │   ├── ViewBehind                  a view has not reached the position asked for
    │   ├── PositionMoved               another process has moved a view's position
    │   ├── KafkaUnavailable            Kafka cannot be reached
    │   └── KeysUnavailable             keyring or keys cluster cannot be reached: never "erased"
    └── TerminalError                   the same call will fail again
        ├── InvalidInput                names fields, never values
        ├── NotAuthenticated            no valid token
        ├── NotAllowed                  role, purpose or principal has not the right
        ├── NotFound                    no such person, case, consent, …
        ├── RuleRefused                 a domain rule said no; carries the rule and its policy clause
        ├── Fenced                      a person or key scope is fenced for erasure
        ├── IdempotencyKeyReused        same key, another body
        ├── DoneLongAgo                 same key, done; whether with the same body can no longer be told
        ├── AlreadyDone                 same key, same body: carries the first answer
        ├── EventTooLarge               a record over the append limit
        ├── DocumentInvalid             a signed certificate or supplement fails a check
        ├── Tampered                    a sealed value or key row fails its checks
        ├── KeyNeverExisted             a sealed value names a scope nobody ever created
        ├── KeyringMismatch             keyring of another installation, version or epoch
        ├── LogGap                      a position is missing from the topic
        ├── LogDiverged                 store and topic disagree about the same position
        ├── RecordUnfit                 a projection cannot take a record in
        ├── TooManyUnfit                so many do not fit that a projection sets no more aside
        ├── RestoreRefused              a backup is not whole, or would be put over something that is there
        ├── SchemaMismatch              a database's schema is not the one this program expects
        └── SettingInvalid              a setting is malformed, or contradicts another

Identifiers are attributes, so that callers need not parse text; texts never carry a value somebody sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from domain.rules import Rule


class CasekeeperError(Exception):
    """Base of all our exceptions."""


class RetriableError(CasekeeperError):
    """The same call may succeed later; ``retry_after`` is in seconds."""

    retry_after: int = 1


class TerminalError(CasekeeperError):
    """The same call will fail again until something else changes."""


class ConcurrencyConflict(RetriableError):
    """A stream that a decision read was changed before the decision was appended."""

    def __init__(self, stream_id: UUID) -> None:
        super().__init__(f"stream {stream_id} has moved since it was read")
        self.stream_id = stream_id


class StoreUnavailable(RetriableError):
    """The event store cannot be reached or refuses to write."""


class OutcomeUnknown(StoreUnavailable):
    """The reply to an append was lost and could not be learnt since: what became of it is not known.

    The same command, or another one under the same idempotency key, is answered with what it did.
    """


class ViewsUnavailable(RetriableError):
    """The database of the views cannot be reached."""


class ViewBehind(RetriableError):
    """A view did not reach the wanted position within the bounded wait."""

    def __init__(self, view: str, wanted: int, reached: int) -> None:
        super().__init__(f"view {view} is at position {reached}, wanted {wanted}")
        self.view = view
        self.wanted = wanted
        self.reached = reached


class PositionMoved(RetriableError):
    """Another process has moved or rebuilt a view since its position was read; nothing was written."""

    def __init__(self, view: str, expected: int) -> None:
        super().__init__(f"view {view} is no longer at position {expected}")
        self.view = view
        self.expected = expected


class KafkaUnavailable(RetriableError):
    """Kafka cannot be reached."""


class KeysUnavailable(RetriableError):
    """The keyring or the keys cluster cannot be reached. Fails closed: this is an outage, never an erasure."""


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one field; ``field`` is a dotted path, ``problem`` never echoes the value."""

    field: str
    problem: str


class InvalidInput(TerminalError):
    """Input that does not fit its schema."""

    def __init__(self, problems: Sequence[FieldProblem], slug: str = "invalid-input") -> None:
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in problems))
        self.problems = tuple(problems)
        self.slug = slug


class NotAuthenticated(TerminalError):
    """No token, or one that is expired, forged or malformed."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug


class NotAllowed(TerminalError):
    """The caller's role, purpose of use or identity has not the right."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug


class NotFound(TerminalError):
    """No such thing, or not one this caller may know of."""

    def __init__(self, kind: str, identifier: UUID | None = None) -> None:
        super().__init__(f"no such {kind}")
        self.kind = kind
        self.identifier = identifier


class RuleRefused(TerminalError):
    """A rule of the domain said no. ``rule`` names it and the policy clause it comes from.

    ``problems`` says more where there is more to say, field by field.
    """

    def __init__(self, rule: Rule, problems: Sequence[FieldProblem] = (), **identifiers: Any) -> None:
        super().__init__(f"{rule.title} (policy clause {rule.clause})")
        self.rule = rule
        self.problems = tuple(problems)
        self.identifiers = identifiers


class Fenced(TerminalError):
    """A person or key scope that the command uses is fenced: nothing sealed to it can be appended any more."""

    def __init__(self, fenced: Sequence[UUID]) -> None:
        super().__init__("fenced for erasure")
        self.fenced = tuple(fenced)


class IdempotencyKeyReused(TerminalError):
    """The idempotency key was used before, with another body or by another operation."""


class DoneLongAgo(TerminalError):
    """The idempotency key was used for the same operation; the key to compare the bodies with is destroyed by now."""


class AlreadyDone(TerminalError):
    """The idempotency key was used before with the same body; ``answer`` is the first answer."""

    def __init__(self, status: int, answer: Mapping[str, Any], position: int) -> None:
        super().__init__("done before")
        self.status = status
        self.answer = answer
        self.position = position


class EventTooLarge(TerminalError):
    """An event's record is larger than the log takes (sizes in bytes)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"record of {size} bytes, limit {limit}")
        self.size = size
        self.limit = limit


class DocumentInvalid(TerminalError):
    """A signed certificate or supplement, or a key to check it with, fails a check; the text says which."""


class Tampered(TerminalError):
    """A sealed value or a key row was changed, moved or sealed under another key."""


class KeyNeverExisted(TerminalError):
    """A sealed value names a key scope that was never created here."""

    def __init__(self, scope_id: UUID) -> None:
        super().__init__(f"key scope {scope_id} never existed")
        self.scope_id = scope_id


class KeyringMismatch(TerminalError):
    """The keyring belongs to another installation, has an unknown version, or is older than the keys."""


class LogGap(TerminalError):
    """The topic jumps from one position to a later one."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"expected position {expected}, found {found}")
        self.expected = expected
        self.found = found


class LogDiverged(TerminalError):
    """Store and topic hold different events at one position."""

    def __init__(self, position: int) -> None:
        super().__init__(f"store and topic differ at position {position}")
        self.position = position


class RecordUnfit(TerminalError):
    """A view cannot take in one of the records at ``first`` to ``last``; ``reason`` is an error's class or SQLSTATE."""

    def __init__(self, view: str, first: int, last: int, reason: str) -> None:
        super().__init__(f"view {view} cannot take in positions {first} to {last}: {reason}")
        self.view = view
        self.first = first
        self.last = last
        self.reason = reason


class TooManyUnfit(TerminalError):
    """So many records do not fit into a view that it stops at ``position`` instead of setting this one aside too."""

    def __init__(self, view: str, position: int) -> None:
        super().__init__(f"view {view} stopped before position {position}: too many records do not fit")
        self.view = view
        self.position = position


class RestoreRefused(TerminalError):
    """A backup is not whole or of an unknown form, or what it would be restored into is not empty."""


class SchemaMismatch(TerminalError):
    """An applied migration was changed, or the database is newer than this program."""


class SettingInvalid(TerminalError):
    """A setting is malformed, names a file that cannot be read, or contradicts another; the text names it."""
