"""Bodies about people: registration, consents, requests."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from application.schemas.wire import (
    BirthDate,
    Identifier,
    Instant,
    LanguageTag,
    PolicyVersionName,
    Text,
    TimeZone,
    WireSchema,
    Word,
    bounded_list,
    set_list,
)
from domain import vocabulary as v
from domain.search_terms import STRONG


def _check_email(value: str) -> None:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValidationError("must be an e-mail address")


def _check_phone(value: str) -> None:
    if not re.fullmatch(r"[0-9+()./ xX#,;*-]{3,40}", value):
        raise ValidationError("must be a telephone number")


class AddressSchema(WireSchema):
    """A postal address."""

    lines = bounded_list(Text(200), 0, 6, load_default=list)
    city = Text(100, allow_none=True, load_default=None)
    postal_code = Text(20, allow_none=True, load_default=None)
    country = Text(60, allow_none=True, load_default=None)


class IdentitySchema(WireSchema):
    """Who a person is (policy clause 1.1)."""

    given_name = Text(100, allow_none=True, load_default=None)
    family_name = Text(100, allow_none=True, load_default=None)
    birth_date = BirthDate(allow_none=True, load_default=None)
    email = Text(254, allow_none=True, load_default=None, validate=_check_email)
    phone = Text(40, allow_none=True, load_default=None, validate=_check_phone)
    address = fields.Nested(AddressSchema, allow_none=True, load_default=None)

    @validates_schema
    def check_named(self, data: dict[str, Any], **_: Any) -> None:
        """Require a name of some kind."""
        if not data.get("given_name") and not data.get("family_name"):
            raise ValidationError("a given name or a family name is needed", "family_name")


class SearchSchema(WireSchema):
    """Body of a search for people: who has everything that is given is found."""

    given_name = Text(100)
    family_name = Text(100)
    birth_date = BirthDate()
    email = Text(254, validate=_check_email)
    phone = Text(40, validate=_check_phone)
    record_number = Text(100)

    @validates_schema
    def check_enough(self, data: dict[str, Any], **_: Any) -> None:
        """Require what finds few: one field that is nearly a person's own, or two of the others."""
        if len(data) < 2 and not data.keys() & STRONG:
            raise ValidationError("is too little: give email, phone or record_number, or two fields", "body")


class NoticeSchema(WireSchema):
    """The privacy notice that was shown."""

    policy_version = PolicyVersionName(required=True)


class RegisterSubjectSchema(WireSchema):
    """Body of ``register_subject``."""

    identity = fields.Nested(IdentitySchema, required=True)
    time_zone = TimeZone(allow_none=True, load_default=None)
    language = LanguageTag(load_default="en")
    notice = fields.Nested(NoticeSchema, required=True)


class GrantConsentSchema(WireSchema):
    """Body of ``grant_consent``; ``decision`` tells a grant from a refusal or a question."""

    purpose = Word(v.PURPOSES, required=True)
    recipient_ids = set_list(Identifier(), 1, 50, required=True)
    categories = set_list(Word(v.CATEGORIES), 1, 6, required=True)
    policy_version = PolicyVersionName(required=True)
    language = LanguageTag(load_default="en")
    method = Word(v.METHODS, required=True)
    valid_until = Instant(end_of_day=True, allow_none=True, load_default=None)
    decision = Word({"granted", "refused", "asked"}, load_default="granted")
    consent_id = Identifier(allow_none=True, load_default=None)


class ReasonSchema(WireSchema):
    """A body that may carry a reason in free text."""

    reason = Text(2000, allow_none=True, load_default=None)


class RequestScopeSchema(WireSchema):
    """What a request is about; null means everything, so that an empty list never erases a whole person."""

    categories = set_list(Word(v.CATEGORIES), 1, 6, allow_none=True, load_default=None)
    case_ids = set_list(Identifier(), 1, 100, allow_none=True, load_default=None)


class ReceiveRequestSchema(WireSchema):
    """Body of ``receive_request`` (policy clause 8)."""

    right = Word(v.RIGHTS, required=True)
    scope = fields.Nested(RequestScopeSchema, allow_none=True, load_default=None)
    channel = Word(v.CHANNELS, required=True)
    statement = Text(4000, allow_none=True, load_default=None)


class HoldSchema(WireSchema):
    """Body of ``place_hold``; ``instrument_id`` names the order or letter in the legal records, and says nothing."""

    scope = fields.Nested(RequestScopeSchema, allow_none=True, load_default=None)
    ground = Word(v.HOLD_GROUNDS, required=True)
    instrument_id = Identifier(required=True)
    review_date = Instant(end_of_day=True, required=True)


class VerificationSchema(WireSchema):
    """Body of ``verify_requester``."""

    method = Word(v.VERIFICATION_METHODS, required=True)
    outcome = Word(v.VERIFICATION_OUTCOMES, required=True)


class ApprovalSchema(WireSchema):
    """Body of ``approve_erasure``."""

    preview_id = Identifier(required=True)


class RefusalSchema(WireSchema):
    """Body of ``refuse_request``."""

    ground = Word(v.REFUSAL_GROUNDS, required=True)
    explanation = Text(4000, allow_none=True, load_default=None)


class EmptySchema(WireSchema):
    """A body without fields."""
