"""``/``: the worklist, with counts that click through to the cases they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request

from api.pages.formats import due_in
from api.pages.session import form, may, page, viewer
from api.reads import actor, paging, parameters, word
from api.request_scope import caller, rooms
from application.permissions import READERS
from domain import vocabulary
from projections import people, worklist

blueprint = Blueprint("worklist", __name__)

PER_PAGE = 25
STALE_EVENTS = 100
"""From how many events behind a page says in colour that it may be out of date."""


@dataclass(frozen=True)
class Freshness:
    """How far a view is: the position it shows, and how many events of the log it has yet to take in."""

    position: int
    lag: int

    @property
    def stale(self) -> bool:
        """Return whether the viewer should be warned."""
        return self.lag > STALE_EVENTS


def freshness(view: str) -> Freshness:
    """Return how far a view is now."""
    head = rooms().service.log.head()
    position = rooms().views.positions().get(view, 0)
    return Freshness(position, max(0, head - position))


@blueprint.get("/")
@page
def worklist_page() -> Response:
    """Show cases, newest first, with the names of the people they are about."""
    if not may(caller(), READERS["worklist"]):
        return _without_worklist()
    given = parameters("state", "assignee", "cursor")
    filters: dict[str, Any] = {
        "state": word(given, "state", vocabulary.CASE_STATES),
        "assignee": actor(given, "assignee"),
    }
    bounds = {**paging(given), "limit": PER_PAGE}
    fresh = freshness("worklist")
    with rooms().views.cursor() as cursor:
        found = worklist.cases(cursor, **filters, **bounds)
        counts = _counts(cursor, filters)
        identities = people.identities(cursor, [UUID(item["subject_id"]) for item in found.items])
    html = render_template(
        "worklist.html",
        viewer=viewer(),
        fresh=fresh,
        counts=counts,
        filters=filters,
        rows=_rows(found.items, identities),
        next={**filters, "cursor": found.next} if found.next else None,
        further="cursor" in given,
    )
    return make_response(html)


@blueprint.post("/cases")
@form
def go_to_case() -> Response:
    """Go to the page of the case whose id was typed; it may be anything, so it comes in no address."""
    typed = request.form.get("case_id", "").strip()
    try:
        return make_response(redirect(f"/cases/{UUID(typed)}", 303))
    except ValueError:
        return _without_worklist("A case id is 36 characters of digits, letters a to f and dashes.")


def _rows(items: list[dict[str, Any]], identities: dict[str, Any]) -> list[dict[str, Any]]:
    subject_ids = [UUID(item["subject_id"]) for item in items]
    opened = rooms().service.reading.open(caller(), "worklist", identities, subject_ids=subject_ids)
    now = rooms().service.clock()
    return [
        {**item, "identity": opened.get(item["subject_id"]), "urgency": due_in(item["next_due"], now)} for item in items
    ]


def _counts(cursor: Any, filters: dict[str, Any]) -> list[dict[str, Any]]:
    mine = viewer().id
    both = [("", None, worklist.counts(cursor)), ("My ", mine, worklist.counts(cursor, mine))]
    return [
        {
            "label": f"{label}{count.state} cases",
            "count": count.count,
            "filters": count.filters,
            "current": filters == {"state": count.state, "assignee": assignee},
        }
        for label, assignee, states in both
        for count in sorted(states, key=lambda c: c.state, reverse=True)
    ]


def _without_worklist(problem: str | None = None) -> Response:
    """Show the entrance for those who read single cases but have no worklist: regulators, for instance."""
    caller().actor(READERS["case"])
    html = render_template("entrance.html", viewer=viewer(), fresh=freshness("case_page"), problem=problem)
    return make_response(html, 400 if problem else 200)
