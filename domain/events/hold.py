"""Events of legal holds, in the person's stream. Nothing in them is sealed: they outlast the person's keys."""

from __future__ import annotations

from typing import Annotated

from domain.events.base import Event, published
from domain.registry import Categories, Id, Ids, Time, word
from domain.vocabulary import HOLD_GROUNDS, HOLD_REASONS

HoldGround = Annotated[str, word("hold_ground", HOLD_GROUNDS)]
HoldReason = Annotated[str, word("hold_reason", HOLD_REASONS)]


class _HoldTerms(Event):
    """What is held, on which ground, and when to look again.

    No categories and no cases mean everything; ``instrument_id`` names the order or letter in the legal records.
    """

    hold_id: Id
    ground: HoldGround
    instrument_id: Id
    categories: Categories
    case_ids: Ids
    review_date: Time


@published
class HoldPlaced(_HoldTerms):
    """What the hold covers and no erasure had fenced is kept from erasure until it is released."""


@published
class HoldIneffective(_HoldTerms):
    """The hold came too late for these key scopes: they were fenced, for destruction, under this certificate."""

    reason: HoldReason
    certificate_id: Id
    scope_ids: Ids


@published
class HoldReleased(Event):
    """The hold was lifted; erasures that it held up go on."""

    hold_id: Id
