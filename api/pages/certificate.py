"""``/requests/{id}/certificate``: the certificate of an erasure to read and print, with nothing personal on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template

from api.pages.formats import due_in
from api.pages.session import page, viewer
from api.reads import find, parameters
from api.request_scope import caller, note_receipt, rooms
from api.resources.requests import with_person
from application.catalogue import OPERATIONS
from domain.errors import NotFound
from projections import forget

blueprint = Blueprint("certificate", __name__)

_FACTS = {
    "RecipientNotifiedOfErasure": "A recipient was sent word",
    "RecipientAcknowledgedErasure": "A recipient acknowledged",
    "PaperRecordsDestroyed": "Paper records were destroyed",
}
_ALLOWED = OPERATIONS["erasure_certificate"].allowed


@blueprint.get("/requests/<uuid:request_id>/certificate")
@page
def certificate_page(request_id: UUID) -> Response:
    """Show a certificate: what was destroyed and withheld, who is told, what is proven and what is not.

    It is the request's latest, or the one that ``?certificate=`` names.
    """
    wanted = parameters("certificate").get("certificate")
    caller().actor(_ALLOWED)
    service = rooms().service
    answer = service.execute("erasure_certificate", caller(), with_person(request_id), {})
    note_receipt(answer.body["receipt"])
    certificates = [*answer.body["preceding"], answer.body]
    certificate = next((one for one in reversed(certificates) if wanted in (None, one["certificate_id"])), None)
    if certificate is None:
        raise NotFound("certificate", request_id)
    html = render_template(
        "certificate.html",
        viewer=viewer(),
        certificate=certificate,
        others=[one for one in certificates if one is not certificate],
        recipients=[_recipient(one, service.clock()) for one in certificate["recipients"]],
        facts=_FACTS,
        at=service.clock(),
    )
    return make_response(html)


@blueprint.get("/certificates/<uuid:certificate_id>")
@page
def go_to_certificate(certificate_id: UUID) -> Response:
    """Go from a certificate's id, as tombstones show it, to its page."""
    parameters()
    caller().actor(_ALLOWED)

    def look() -> UUID | None:
        with rooms().views.cursor() as cursor:
            return forget.request_of(cursor, certificate_id)

    request_id = find("forget", "certificate", look)
    return make_response(redirect(f"/requests/{request_id}/certificate?certificate={certificate_id}", 303))


def _recipient(recipient: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return how far a recipient is: ``acknowledged``, ``told``, or still ``open`` and how urgent that is."""
    state = "acknowledged" if recipient["acknowledged"] else "told" if recipient["sent"] else "open"
    return {**recipient, "state": state, "urgency": due_in(recipient["due"], now) if state == "open" else ""}
