"""Agreements of recipients (policy clause 3): register one, with its recipient or for a known one."""

from __future__ import annotations

from flask_smorest import Blueprint

from api.endpoints import command
from api.sample import ID, RECEIPT, THIRD_ID
from api.shapes import IDENTIFIER, RECEIPT_REF, thing

blueprint = Blueprint("agreements", __name__, description="Who may receive data, and for what they have agreed")

command(
    blueprint,
    "/v1/agreements",
    "register_agreement",
    thing(id=IDENTIFIER, recipient_id=IDENTIFIER, receipt=RECEIPT_REF),
    {"id": ID, "recipient_id": THIRD_ID, "receipt": RECEIPT},
)
