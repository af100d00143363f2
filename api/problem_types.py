"""Every type of problem document that HTTP can answer with; the rules of ``domain`` bring theirs.

``type`` is ``urn:casekeeper:problem:<slug>``; ``docs/problems.md`` lists them all and a test holds it to that.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain import rules

URN = "urn:casekeeper:problem:"


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

VIEW_BEHIND = ProblemType("view-behind", 503, "The view has not reached the position asked for yet", 1)
STORE_UNAVAILABLE = ProblemType("store-unavailable", 503, "The event store cannot be reached: nothing was recorded", 2)
VIEWS_UNAVAILABLE = ProblemType("views-unavailable", 503, "The views cannot be reached", 2)
KEYS_UNAVAILABLE = ProblemType("keys-unavailable", 503, "The keys cannot be reached: an outage, not an erasure", 2)
LOG_UNAVAILABLE = ProblemType("log-unavailable", 503, "The event log on Kafka cannot be reached", 2)
SEALED_VALUE_DAMAGED = ProblemType("sealed-value-damaged", 500, "A sealed value or key fails its checks")
INTERNAL_ERROR = ProblemType("internal-error", 500, "Something went wrong on our side")

OWN: tuple[ProblemType, ...] = tuple(v for v in list(globals().values()) if isinstance(v, ProblemType))
FROM_RULES: tuple[ProblemType, ...] = tuple(ProblemType(r.slug, r.status, r.title) for r in rules.ALL)
BY_SLUG: dict[str, ProblemType] = {t.slug: t for t in (*FROM_RULES, *OWN)}
