"""Bodies about cases and recipients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from application.schemas.people import AddressSchema, NoticeSchema
from application.schemas.wire import (
    ActorName,
    Identifier,
    Instant,
    PartialDate,
    Text,
    WireSchema,
    Word,
    bounded_list,
    set_list,
)
from domain import vocabulary as v

MOST_ITEMS = 500
"""Most entries in one list of an intake."""


class OpenCaseSchema(WireSchema):
    """Body of ``open_case``."""

    subject_id = Identifier(required=True)
    kind = Word(v.CASE_KINDS, required=True)


class ConditionSchema(WireSchema):
    """One entry of a medical history."""

    condition = Text(300, required=True)
    since = PartialDate(allow_none=True, load_default=None)
    note = Text(2000, allow_none=True, load_default=None)


class MedicationSchema(WireSchema):
    """One medication."""

    name = Text(300, required=True)
    dose = Text(300, allow_none=True, load_default=None)
    since = PartialDate(allow_none=True, load_default=None)
    note = Text(2000, allow_none=True, load_default=None)


class AllergySchema(WireSchema):
    """One allergy or intolerance."""

    substance = Text(300, required=True)
    reaction = Text(300, allow_none=True, load_default=None)
    severity = Word({"mild", "moderate", "severe"}, allow_none=True, load_default=None)
    note = Text(2000, allow_none=True, load_default=None)


class TextOrObject(fields.Field[Any]):
    """An entry given as plain text or as an object of one schema."""

    def __init__(self, schema: type[WireSchema], longest: int = 300, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = Text(longest)
        self.nested = fields.Nested(schema)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, str):
            return self.text.deserialize(value, attr, data)
        if isinstance(value, dict):
            return self.nested.deserialize(value, attr, data)
        raise ValidationError("must be text or an object")


class InsuranceSchema(WireSchema):
    """Who insures the person, under which number."""

    insurer = Text(200, required=True)
    member_number = Text(100, allow_none=True, load_default=None)


class MedicalIntakeSchema(WireSchema):
    """The answers of form ``medical_intake`` version 1."""

    reason = Text(4000, required=True)
    medical_history = bounded_list(TextOrObject(ConditionSchema), 0, MOST_ITEMS, load_default=list)
    medications = bounded_list(TextOrObject(MedicationSchema), 0, MOST_ITEMS, load_default=list)
    allergies = bounded_list(TextOrObject(AllergySchema), 0, MOST_ITEMS, load_default=list)
    insurance = fields.Nested(InsuranceSchema, allow_none=True, load_default=None)


class SubmitIntakeSchema(WireSchema):
    """Body of ``submit_intake`` and ``amend_intake``."""

    form = Word(v.FORMS, required=True)
    form_version = fields.Integer(strict=True, required=True, error_messages={"invalid": "must be a whole number"})
    answers = fields.Nested(MedicalIntakeSchema, required=True)
    notice = fields.Nested(NoticeSchema, required=True)

    @validates_schema
    def check_version(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse versions of the form that do not exist."""
        if data.get("form_version", 1) != 1:
            raise ValidationError("must be 1, the form's only version", "form_version")


class NoteSchema(WireSchema):
    """Body of ``add_note``."""

    text = Text(20000, required=True)


class TaskSchema(WireSchema):
    """Body of ``add_task``."""

    title = Text(300, required=True)
    due = Instant(end_of_day=True, allow_none=True, load_default=None)
    assignee = ActorName(allow_none=True, load_default=None)


class AssignmentSchema(WireSchema):
    """Body of ``assign_case``."""

    assignee = ActorName(required=True)


class ClosureSchema(WireSchema):
    """Body of ``close_case``."""

    reason = Word(v.CLOSURE_REASONS, required=True)
    remark = Text(2000, allow_none=True, load_default=None)


class RecipientSchema(WireSchema):
    """Whoever data is disclosed to."""

    name = Text(200, required=True)
    kind = Word(v.RECIPIENT_KINDS, required=True)
    address = fields.Raw(allow_none=True, load_default=None)

    @validates_schema
    def check_address(self, data: dict[str, Any], **_: Any) -> None:
        """Take an address as text or as an object."""
        if data.get("address") is not None:
            try:
                TextOrObject(AddressSchema, 500).deserialize(data["address"])
            except ValidationError as error:
                raise ValidationError(error.messages, "address") from None


class AgreementSchema(WireSchema):
    """Body of ``register_agreement``; with ``recipient_id`` a further agreement of a known recipient."""

    recipient = fields.Nested(RecipientSchema, allow_none=True, load_default=None)
    recipient_id = Identifier(allow_none=True, load_default=None)
    purposes = set_list(Word(v.PURPOSES), 1, 10, required=True)
    valid_from = Instant(required=True)
    valid_until = Instant(end_of_day=True, allow_none=True, load_default=None)

    @validates_schema
    def check_whole(self, data: dict[str, Any], **_: Any) -> None:
        """Require one recipient, and an end after the beginning."""
        if (data.get("recipient") is None) == (data.get("recipient_id") is None):
            raise ValidationError("either recipient or recipient_id is needed", "recipient")
        if data.get("valid_until") is not None and data["valid_until"] <= data["valid_from"]:
            raise ValidationError("must be after valid_from", "valid_until")


class BasisSchema(WireSchema):
    """What permits a disclosure."""

    type = Word(v.BASIS_TYPES, required=True)
    id = Identifier(required=True)


class DisclosureSchema(WireSchema):
    """Body of ``request_disclosure``."""

    case_id = Identifier(required=True)
    recipient_id = Identifier(required=True)
    purpose = Word(v.PURPOSES, required=True)
    categories = set_list(Word(v.CATEGORIES), 1, 6, required=True)
    basis = fields.Nested(BasisSchema, required=True)


class PublisherSchema(WireSchema):
    """Body of ``register_publisher``."""

    service = ActorName(required=True)
    public_key = Text(90, required=True)
