"""Bodies about what follows a certified erasure: notices to recipients, destruction of paper."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields

from application.schemas.wire import Identifier, Instant, WireSchema, Word
from domain import vocabulary as v

MOST_DOCUMENTS = 1_000_000


class Count(fields.Field[int]):
    """A whole number from 1 on."""

    def __init__(self, most: int, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "integer", "minimum": 1, "maximum": most}, **kwargs)
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= self.most:
            raise ValidationError(f"must be a whole number from 1 to {self.most}")
        return value


class NotificationSchema(WireSchema):
    """Body of ``notify_recipient``: sent when, by what, and whether it arrived."""

    recipient_id = Identifier(required=True)
    channel = Word(v.CHANNELS, required=True)
    sent = Instant(required=True)
    delivery = Word(v.DELIVERIES, load_default="delivered")


class AcknowledgementSchema(WireSchema):
    """Body of ``acknowledge_erasure``."""

    recipient_id = Identifier(required=True)
    channel = Word(v.CHANNELS, required=True)
    acknowledged = Instant(required=True)


class PaperDestructionSchema(WireSchema):
    """Body of ``report_paper_destruction``: how, how many documents, when (policy clause 7.2)."""

    method = Word(v.DESTRUCTION_METHODS, required=True)
    documents = Count(MOST_DOCUMENTS, required=True)
    destroyed = Instant(required=True)


class PaperConfirmationSchema(WireSchema):
    """Body of ``confirm_paper_destruction``."""

    report_id = Identifier(required=True)
