"""The certificate of an erasure, what supplements it, and the keys that both are checked with."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from api.auth import ANYONE
from api.endpoints import command, execute, query
from api.json_answers import json_response
from api.reads import AFTER, parameters, wait_for_view
from api.request_scope import rooms
from api.resources.erasure_shapes import CERTIFICATE, CERTIFICATE_EXAMPLE
from api.resources.requests import with_person
from api.sample import ID, OTHER_ID, RECEIPT, SIGNING_KEY, THIRD_ID
from api.shapes import IDENTIFIER, JWK, NUMBER, listed, ref, thing
from application.catalogue import OPERATIONS
from application.signing_keys import CERTIFICATES, public_keys

blueprint = Blueprint("certificates", __name__, description="Proof of an erasure, and who was told of it")

_ONE = "/v1/requests/<uuid:request_id>"
_SUPPLEMENTED = thing(id=IDENTIFIER, certificate_id=IDENTIFIER, number=NUMBER, receipt=ref("Receipt"))
_REPORTED = thing(id=IDENTIFIER, report_id=IDENTIFIER, receipt=ref("Receipt"))
_EXAMPLE = {"id": ID, "certificate_id": THIRD_ID, "number": 1, "receipt": RECEIPT}

for step, operation, shape, example in (
    ("notifications", "notify_recipient", _SUPPLEMENTED, _EXAMPLE),
    ("acknowledgements", "acknowledge_erasure", _SUPPLEMENTED, _EXAMPLE),
    (
        "paper-destruction",
        "report_paper_destruction",
        _REPORTED,
        {"id": ID, "report_id": OTHER_ID, "receipt": RECEIPT},
    ),
    ("paper-destruction/confirmation", "confirm_paper_destruction", _SUPPLEMENTED, _EXAMPLE),
):
    command(blueprint, f"{_ONE}/{step}", operation, shape, example, find=with_person)


@query(
    blueprint,
    f"{_ONE}/certificate",
    answer=CERTIFICATE,
    example=CERTIFICATE_EXAMPLE,
    allowed=OPERATIONS["erasure_certificate"].allowed,
    parameters=[AFTER],
    missing=True,
    refusable=True,
)
def erasure_certificate(request_id: UUID) -> Response:
    """Show an erasure's certificate.

    Answers 404 `certificate-pending` until every view has purged. `jws` is the certificate as it was signed, the same
    for every reader and at every time; `recipients` and `supplements` say what has followed. Where what was withheld
    could be erased later, that has a certificate of its own: the latest is shown, those before it in `preceding`.
    """
    wait_for_view("requests", parameters("after"))
    return execute("erasure_certificate", with_person(request_id), {})


@query(
    blueprint,
    "/v1/certificate-keys",
    answer=thing(keys=listed(JWK)),
    example={"keys": [SIGNING_KEY]},
    allowed=ANYONE,
)
def certificate_keys() -> Response:
    """List the keys that certificates are checked with.

    A JWK set (RFC 7517): the key in use first, then those it replaced. `kid` is the thumbprint of RFC 7638.
    """
    parameters()
    service = rooms().service
    return json_response({"keys": public_keys(service.vault, service.clock(), CERTIFICATES)})
