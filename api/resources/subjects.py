"""People: register, read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.case_view import tag
from api.endpoints import command, query
from api.json_answers import tagged_response
from api.reads import AFTER, find, parameters, wait_for_view
from api.request_scope import caller, rooms
from api.sample import ID, IDENTITY, MADE, TIME, done
from api.shapes import IDENTIFIER, INSTANT, NUMBER, TEXT, one_of, opened, ref, thing
from application.permissions import READERS
from projections import people

blueprint = Blueprint("subjects", __name__, description="The people whose cases are managed")

PERSON_STATES = frozenset({"registered", "fenced", "erased"})
_PERSON = thing(
    id=IDENTIFIER,
    state=one_of(PERSON_STATES),
    language=TEXT,
    registered_at=INSTANT,
    identity=opened(ref("Identity")),
)
_EXAMPLE = {"id": ID, "state": "registered", "language": "en", "registered_at": TIME, "identity": IDENTITY}

command(blueprint, "/v1/subjects", "register_subject", ref("Made"), MADE)
command(blueprint, "/v1/subjects/reviewed", "register_reviewed_subject", ref("Made"), MADE)

command(
    blueprint,
    "/v1/subjects/<uuid:subject_id>/engagements",
    "start_engagement",
    thing(id=IDENTIFIER, engagement=NUMBER, receipt=ref("Receipt")),
    done(engagement=2),
)


@query(
    blueprint,
    "/v1/subjects/<uuid:subject_id>",
    answer=_PERSON,
    example=_EXAMPLE,
    allowed=READERS["subject"],
    parameters=[AFTER],
    missing=True,
    tagged=True,
)
def read_subject(subject_id: UUID) -> Response:
    """Read a person.

    The identity is opened for the caller's purpose, and the reading is recorded.
    """
    wait_for_view("people", parameters("after"))
    row = find("people", "person", lambda: person_row(subject_id))
    fields = {"identity": row["identity"]}
    found = rooms().service.reading.open(caller(), "subject", fields, subject_ids=[subject_id])
    return tagged_response({**row, **found}, tag(row["state"], found))


def person_row(subject_id: UUID) -> dict[str, Any] | None:
    """Return a person's row of the view, identity sealed, or ``None``."""
    with rooms().views.cursor() as cursor:
        return people.person(cursor, subject_id)
