"""Replay for regulators and officers: a person's or a case's whole history and its state as of any moment."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint
from marshmallow import ValidationError, fields, validates_schema

from api.body import read_body
from api.endpoints import CHECKED_PROBLEMS, post
from api.json_answers import json_response
from api.request_scope import caller, rooms
from api.sample import ID, TIME
from api.shapes import IDENTIFIER, INSTANT, NUMBER, listed, nullable, thing
from application.permissions import READERS
from application.schemas.loading import load
from application.schemas.wire import Identifier, Instant, WireSchema
from domain.errors import NotFound

blueprint = Blueprint("audit", __name__, description="What happened, from the log alone")

_ANSWER = thing(
    as_of=thing(position=NUMBER, time=nullable(INSTANT)),
    subject_id=IDENTIFIER,
    case_id=nullable(IDENTIFIER),
    history=listed({"type": "object"}),
    state={"type": "object"},
)
_EXAMPLE: dict[str, Any] = {
    "as_of": {"position": 41, "time": TIME},
    "subject_id": ID,
    "case_id": None,
    "history": [],
    "state": {},
}


class AsOf(fields.Field[Any]):
    """A moment of the log: a position, or a time."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value < 2**63:
                raise ValidationError("must be a position of the log")
            return value
        return Instant(end_of_day=True).deserialize(value, attr, data)


class ReplaySchema(WireSchema):
    """Body of a replay: of one person or of one case."""

    subject_id = Identifier(allow_none=True, load_default=None)
    case_id = Identifier(allow_none=True, load_default=None)
    as_of = AsOf(allow_none=True, load_default=None)

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: Any) -> None:
        """Require exactly one of person and case."""
        if (data.get("subject_id") is None) == (data.get("case_id") is None):
            raise ValidationError("either subject_id or case_id is needed", "subject_id")


@post(
    blueprint,
    "/v1/audit/replays",
    body=(ReplaySchema, {"subject_id": ID, "as_of": TIME}),
    answers={200: (_ANSWER, _EXAMPLE)},
    allowed=READERS["replay"],
    problems=CHECKED_PROBLEMS,
)
def replay() -> Response:
    """Replay a person or a case.

    From the log alone, as of a position or time, or to its end. Sealed parts stay sealed, erased ones are tombstones
    with their certificates, and the reading is recorded.
    """
    asked = load(ReplaySchema, read_body())
    replay_of = rooms().replay
    if replay_of is None:
        raise NotFound("replay")
    found = replay_of(**asked)
    subject_ids = [UUID(found["subject_id"])]
    rooms().service.reading.open(caller(), "replay", {}, subject_ids=subject_ids, case_id=asked["case_id"])
    return json_response(found)
