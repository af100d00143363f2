"""Every field of every event is declared, and the schemas under docs/ are those the registry gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from application.event_schemas import schema_of
from application.policies import Policies
from domain import vocabulary
from domain.events import EVENT_TYPES
from domain.registry import Kind, Sealed, fields_of

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
CLEAR_KINDS = {
    "id", "ids", "number", "flag", "time", "policy_version", "actor_id", "language", "fingerprints", "public_key",
    "view_positions", "purpose", "purposes", "category", "categories", "case_kind", "closure_reason", "form",
    "recipient_kind", "method", "verification_method", "verification_outcome", "channel", "right", "refusal_ground",
    "basis_type", "resource", "withholding_grounds", "delivery", "destruction_method", "signed_document",
    "hold_ground", "hold_reason",
}  # fmt: skip
"""The kinds that may stand in clear, written out: a new one is a decision (ADR 17)."""


@pytest.mark.parametrize("event_class", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())
def test_each_field_is_clear_of_a_known_kind_or_sealed_under_a_known_category(event_class: type) -> None:
    for declared in fields_of(event_class).values():
        if isinstance(declared, Kind):
            assert declared.name in CLEAR_KINDS
        else:
            assert isinstance(declared, Sealed)
            assert declared.category in vocabulary.CATEGORIES


@pytest.mark.parametrize("event_class", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())
def test_the_schema_in_docs_is_the_program_s(event_class: type) -> None:
    written = json.loads((SCHEMAS / f"{event_class.TOPIC}.v{event_class.SCHEMA}.json").read_text())

    assert written == schema_of(event_class)


def test_docs_hold_no_schema_of_an_event_that_is_gone() -> None:
    assert {p.name.split(".")[0] for p in SCHEMAS.glob("*.json")} == set(EVENT_TYPES)


def test_an_undeclared_field_is_refused() -> None:
    from domain.events.base import Event

    class Careless(Event):
        diagnosis: str

    with pytest.raises(TypeError, match=r"Careless\.diagnosis is not declared"):
        fields_of(Careless)


def test_the_policy_speaks_the_vocabulary() -> None:
    for version in Policies.load().all():
        assert set(version.purposes) <= vocabulary.PURPOSES
        assert set(version.categories) == vocabulary.CATEGORIES
        assert {w.ground for w in version.withholding.values()} <= vocabulary.WITHHOLDING_GROUNDS
