"""A refusal as the problem document (RFC 9457) that an outcome carries; the same types as HTTP answers with.

It names rules and fields, and never carries what was sent.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain import errors, rules

URN = "urn:casekeeper:problem:"
_BY_ERROR: tuple[tuple[type[errors.CasekeeperError], tuple[str, int, str]], ...] = (
    (errors.NotFound, ("not-found", 404, "There is no such thing, or not one this caller may know of")),
    (
        errors.IdempotencyKeyReused,
        (
            "idempotency-key-reused",
            409,
            "The idempotency key was used before with another body or for another call",
        ),
    ),
    (errors.EventTooLarge, ("record-too-large", 413, "What would be recorded is larger than the log takes")),
    (errors.Tampered, ("sealed-value-damaged", 500, "A sealed value or key fails its checks")),
    (errors.KeyNeverExisted, ("sealed-value-damaged", 500, "A sealed value or key fails its checks")),
)
_INTERNAL = ("internal-error", 500, "Something went wrong on our side")


def problem(error: Exception, message_id: UUID) -> dict[str, Any]:
    """Return the problem document of a refusal; an error that nobody foresaw is an internal one without its text."""
    (slug, status, title), detail, fields = _described(error)
    return {
        "type": URN + slug,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:uuid:{message_id}",
        "errors": [{"field": field.field, "problem": field.problem} for field in fields],
    }


def _described(error: Exception) -> tuple[tuple[str, int, str], str, tuple[errors.FieldProblem, ...]]:
    if isinstance(error, errors.InvalidInput):
        kind = ("invalid-input", 422, "The body does not fit its schema")
        return kind, "errors names each field and what is wrong with it", error.problems
    rule = error.rule if isinstance(error, errors.RuleRefused) else None
    if isinstance(error, errors.Fenced):
        rule = rules.SUBJECT_FENCED
    if rule is not None:
        return (rule.slug, rule.status, rule.title), f"{rule.title} (policy clause {rule.clause})", ()
    if isinstance(error, errors.NotAllowed | errors.NotAuthenticated):
        return (error.slug, 403, "Role and purpose of use do not allow this"), str(error), ()
    for kind_of_error, kind in _BY_ERROR:
        if isinstance(error, kind_of_error):
            return kind, str(error) if kind[1] < 500 else kind[2], ()
    return _INTERNAL, "the message id tells the operator which message this was", ()
