"""Legal holds on a person's data: place, release, list."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.endpoints import command, execute, query
from api.reads import parameters
from api.sample import ID, LATER, OTHER_ID, RECEIPT, THIRD_ID, TIME, done
from api.shapes import IDENTIFIER, INSTANT, RECEIPT_REF, listed, nullable, one_of, ref, thing
from application.catalogue import OPERATIONS
from domain import vocabulary

blueprint = Blueprint("holds", __name__, description="What keeps a person's data from erasure")

HOLD_STATES = frozenset({"placed", "released", "ineffective"})
_INEFFECTIVE = listed(
    thing(reason=one_of(vocabulary.HOLD_REASONS), certificate_id=IDENTIFIER, scope_ids=listed(IDENTIFIER))
)
_HOLD = thing(
    id=IDENTIFIER,
    state=one_of(HOLD_STATES),
    ground=one_of(vocabulary.HOLD_GROUNDS),
    instrument_id=IDENTIFIER,
    scope=thing(
        categories=nullable(listed(one_of(vocabulary.CATEGORIES))),
        case_ids=nullable(listed(IDENTIFIER)),
    ),
    review_date=INSTANT,
    placed_at=INSTANT,
    released_at=nullable(INSTANT),
    ineffective=_INEFFECTIVE,
)
_LATE = [{"reason": "already_destroyed", "certificate_id": THIRD_ID, "scope_ids": [OTHER_ID]}]
_EXAMPLE = {
    "id": ID,
    "state": "placed",
    "ground": "legal_hold",
    "instrument_id": OTHER_ID,
    "scope": {"categories": ["medical"], "case_ids": None},
    "review_date": LATER,
    "placed_at": TIME,
    "released_at": None,
    "ineffective": _LATE,
}
_PATH = "/v1/subjects/<uuid:subject_id>/holds"

command(
    blueprint,
    _PATH,
    "place_hold",
    thing(id=IDENTIFIER, state=one_of(HOLD_STATES), ineffective=_INEFFECTIVE, receipt=ref("Receipt")),
    {"id": ID, "state": "placed", "ineffective": _LATE, "receipt": RECEIPT},
)
command(
    blueprint,
    f"{_PATH}/<uuid:hold_id>/release",
    "release_hold",
    thing(id=IDENTIFIER, state=one_of(HOLD_STATES), receipt=ref("Receipt")),
    done(state="released"),
)


@query(
    blueprint,
    _PATH,
    answer=thing(items=listed(_HOLD), next=nullable({"type": "string"}), receipt=RECEIPT_REF),
    example={"items": [_EXAMPLE], "next": None, "receipt": RECEIPT},
    allowed=OPERATIONS["list_holds"].allowed,
    missing=True,
)
def list_holds(subject_id: UUID) -> Response:
    """List the holds on a person's data.

    The first one first, each with what of it came too late and under which certificate that was erased.
    """
    parameters()
    return execute("list_holds", {"subject_id": subject_id}, {})
