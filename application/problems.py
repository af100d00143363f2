"""Every type of problem document (RFC 9457), and which one an error is; HTTP and the inbox answer with the same.

``type`` is ``urn:casekeeper:problem:<slug>``; ``docs/problems.md`` lists them all and a test holds it to that. A
document names rules and fields and never carries what was sent: in ``errors[].field``, a dotted path, a name is shown
only when it is a plain word (``[a-z_]``, at most 40), a list index or one of our own header names; any other name came
from the sender and stands as ``(unnamed)``. Where the document is kept, on a topic or in a table, a plain word of the
sender's could be a name as well: there only the names of our own contracts are shown (``application.field_names``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain import errors, rules

URN = "urn:casekeeper:problem:"
WITHHELD = "(unnamed)"
_SHORT_INDEX = re.compile(r"[0-9]{1,3}")
_PLAIN = re.compile(r"[a-z_]{1,40}|\d{1,6}|Idempotency-Key")


@dataclass(frozen=True)
class ProblemType:
    """One type: stable slug, HTTP status, title; ``retry_after`` in seconds where the same call may succeed later."""

    slug: str
    status: int
    title: str
    retry_after: int | None = None

    @property
    def urn(self) -> str:
        """Return the value of ``type`` in the document."""
        return URN + self.slug


MALFORMED_JSON = ProblemType("malformed-json", 400, "The body is not the JSON this service reads")
INVALID_HEADER = ProblemType("invalid-header", 400, "A header does not have the form it must have")
INVALID_QUERY = ProblemType("invalid-query", 400, "A query parameter is unknown or does not have the form it must have")
BAD_REQUEST = ProblemType("bad-request", 400, "The request is not valid HTTP for this service")
INVALID_INPUT = ProblemType("invalid-input", 422, "The body does not fit its schema")
BODY_TOO_LARGE = ProblemType("body-too-large", 413, "The body is larger than 1 MiB")
RECORD_TOO_LARGE = ProblemType("record-too-large", 413, "What would be recorded is larger than the log takes")
LENGTH_REQUIRED = ProblemType("length-required", 411, "A body needs a Content-Length; chunked bodies are not taken")
UNSUPPORTED_MEDIA_TYPE = ProblemType("unsupported-media-type", 415, "The body must be application/json, uncompressed")

TOKEN_MISSING = ProblemType("token-missing", 401, "The call carries no bearer token")
TOKEN_INVALID = ProblemType("token-invalid", 401, "The token is malformed, forged or from an issuer not trusted here")
TOKEN_EXPIRED = ProblemType("token-expired", 401, "The token has expired")
PURPOSE_MISSING = ProblemType("purpose-missing", 403, "The token states no purpose of use that this service knows")
NOT_ALLOWED = ProblemType("not-allowed", 403, "Role and purpose of use do not allow this")
FORM_NOT_OURS = ProblemType("form-not-ours", 403, "The form was not sent from this service's own page")

NOT_FOUND = ProblemType("not-found", 404, "There is no such thing, or not one this caller may know of")
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", 405, "This address does not take this method")

CONCURRENCY_CONFLICT = ProblemType("concurrency-conflict", 409, "Somebody else changed this at the same moment", 1)
IDEMPOTENCY_KEY_REUSED = ProblemType(
    "idempotency-key-reused", 409, "The idempotency key was used before with another body or for another call"
)
DONE_LONG_AGO = ProblemType(
    "done-long-ago", 409, "The call under this idempotency key was done; its body can no longer be compared"
)

RATE_LIMITED = ProblemType("rate-limited", 429, "Too many calls: Retry-After says when to go on", 1)

BUSY = ProblemType("busy", 503, "More at once than this process takes", 1)
VIEW_BEHIND = ProblemType("view-behind", 503, "The view has not reached the position asked for yet", 1)
STORE_UNAVAILABLE = ProblemType("store-unavailable", 503, "The event store cannot be reached: nothing was recorded", 2)
OUTCOME_UNKNOWN = ProblemType(
    "outcome-unknown", 503, "Whether this was recorded is not known yet: repeat it with the same idempotency key", 2
)
VIEWS_UNAVAILABLE = ProblemType("views-unavailable", 503, "The views cannot be reached", 2)
KEYS_UNAVAILABLE = ProblemType("keys-unavailable", 503, "The keys cannot be reached: an outage, not an erasure", 2)
KAFKA_UNAVAILABLE = ProblemType("kafka-unavailable", 503, "Kafka cannot be reached", 2)
SEALED_VALUE_DAMAGED = ProblemType("sealed-value-damaged", 500, "A sealed value or key fails its checks")
INTERNAL_ERROR = ProblemType("internal-error", 500, "Something went wrong on our side")

OWN: tuple[ProblemType, ...] = tuple(v for v in list(globals().values()) if isinstance(v, ProblemType))
FROM_RULES: tuple[ProblemType, ...] = tuple(ProblemType(r.slug, r.status, r.title) for r in rules.ALL)
BY_SLUG: dict[str, ProblemType] = {t.slug: t for t in (*FROM_RULES, *OWN)}

_BY_ERROR: tuple[tuple[type[errors.CasekeeperError], ProblemType], ...] = (
    (errors.ConcurrencyConflict, CONCURRENCY_CONFLICT),
    (errors.OutcomeUnknown, OUTCOME_UNKNOWN),
    (errors.StoreUnavailable, STORE_UNAVAILABLE),
    (errors.ViewsUnavailable, VIEWS_UNAVAILABLE),
    (errors.ViewBehind, VIEW_BEHIND),
    (errors.PositionMoved, VIEWS_UNAVAILABLE),
    (errors.KafkaUnavailable, KAFKA_UNAVAILABLE),
    (errors.KeysUnavailable, KEYS_UNAVAILABLE),
    (errors.NotFound, NOT_FOUND),
    (errors.IdempotencyKeyReused, IDEMPOTENCY_KEY_REUSED),
    (errors.DoneLongAgo, DONE_LONG_AGO),
    (errors.EventTooLarge, RECORD_TOO_LARGE),
    (errors.Tampered, SEALED_VALUE_DAMAGED),
    (errors.KeyNeverExisted, SEALED_VALUE_DAMAGED),
    (errors.KeyringMismatch, KEYS_UNAVAILABLE),
)


@dataclass(frozen=True)
class Problem:
    """A problem document before it is written: its type, a sentence about this occurrence, and field errors."""

    type: ProblemType
    detail: str
    errors: Sequence[errors.FieldProblem] = ()

    def document(self, instance: UUID, known: Collection[str] | None = None) -> dict[str, Any]:
        """Return the JSON object of RFC 9457, section 3, with the extension member ``errors``.

        ``instance`` is the id of the request or message; ``known`` are the only names to show, if they are limited.
        """
        return {
            "type": self.type.urn,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "instance": f"urn:uuid:{instance}",
            "errors": [{"field": shown(e.field, known), "problem": e.problem} for e in self.errors],
        }


def shown(path: str, known: Collection[str] | None = None) -> str:
    """Return a dotted path with every name that might be data replaced; the whole, an empty path, as ``body``."""
    return ".".join(part if _may_stand(part, known) else WITHHELD for part in path.split(".")) if path else "body"


def _may_stand(part: str, known: Collection[str] | None) -> bool:
    if known is None:
        return bool(_PLAIN.fullmatch(part))
    # A longer number could be a date or a number of somebody's, sent as a name.
    return part in known or bool(_SHORT_INDEX.fullmatch(part))


def describe(error: Exception) -> Problem:
    """Return the problem that an exception is; one that nobody foresaw is an internal error without any text of it."""
    if isinstance(error, errors.InvalidInput):
        kind = BY_SLUG.get(error.slug, INVALID_INPUT)
        return Problem(kind, "errors names each field and what is wrong with it", error.problems)
    if isinstance(error, errors.Fenced | errors.RuleRefused):
        rule = error.rule if isinstance(error, errors.RuleRefused) else rules.SUBJECT_FENCED
        problems = error.problems if isinstance(error, errors.RuleRefused) else ()
        kind = ProblemType(rule.slug, rule.status, rule.title)
        return Problem(kind, f"{rule.title} (policy clause {rule.clause})", problems)
    if isinstance(error, errors.NotAuthenticated | errors.NotAllowed):
        return Problem(BY_SLUG.get(error.slug, NOT_ALLOWED), str(error))
    for kind_of_error, kind in _BY_ERROR:
        if isinstance(error, kind_of_error):
            return Problem(kind, str(error) if kind.status < 500 else kind.title)
    return Problem(INTERNAL_ERROR, "by the id in instance the operator finds what happened")
