"""Legal holds on a person's data: placed, found too late, released (GDPR Art. 17(3))."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain import rules
from domain.aggregate import Decisions
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.hold import HoldIneffective, HoldPlaced, HoldReleased
from domain.sealed import KeyScope

if TYPE_CHECKING:
    from domain.events.hold import _HoldTerms as TermsEvent


@dataclass(frozen=True)
class HoldTerms:
    """What is held; no categories and no cases mean everything. ``instrument_id`` names the order or letter."""

    ground: str
    instrument_id: UUID
    categories: tuple[str, ...]
    case_ids: tuple[UUID, ...]
    review_date: datetime


@dataclass(frozen=True)
class Ineffective:
    """The part of a hold that came too late: key scopes fenced under one certificate before."""

    reason: str
    certificate_id: UUID
    scope_ids: tuple[UUID, ...]


@dataclass(frozen=True)
class Hold:
    """One hold and its state: ``placed``, ``released``, or ``ineffective`` when nothing was left to hold."""

    id: UUID
    terms: HoldTerms
    state: str
    placed_at: datetime
    ineffective: tuple[Ineffective, ...] = ()
    released_at: datetime | None = None

    def covers(self, key: KeyScope, at: datetime | None = None) -> bool:
        """Return whether the hold keeps a key scope from erasure now, or had not been released at some time."""
        stands = self.state == "placed" or (at is not None and self.released_at is not None and at < self.released_at)
        return stands and key.within(self.terms.categories, self.terms.case_ids)


class HoldDecisions(Decisions):
    """The part of a person's aggregate that decides about holds."""

    holds: dict[UUID, Hold]
    fenced_scopes: dict[UUID, UUID]
    fenced_under: UUID | None

    def place_hold(
        self,
        context: Context,
        new_id: Callable[[], UUID],
        hold_id: UUID,
        terms: HoldTerms,
        scopes: Mapping[UUID, KeyScope],
    ) -> None:
        """Hold what no erasure has fenced, and say of the rest under which certificate it went (policy clause 7.2).

        ``scopes``: every key scope the person ever had. The fence is the point of no return, whether the keys are gone
        yet or not.
        """
        if context.at >= terms.review_date:
            raise RuleRefused(rules.HOLD_REVIEW_DATE)
        covered = {s for s, key in scopes.items() if key.within(terms.categories, terms.case_ids)}
        late = self._fenced_among(covered)
        nothing_left = self.fenced_under is not None or (covered and covered <= self.fenced_scopes.keys())
        if not nothing_left:
            self._record_hold(HoldPlaced, context, new_id(), hold_id, terms)
        for certificate_id, scope_ids in late.items():
            self._record_hold(
                HoldIneffective,
                context,
                new_id(),
                hold_id,
                terms,
                reason="already_destroyed",
                certificate_id=certificate_id,
                scope_ids=tuple(sorted(scope_ids)),
            )

    def release_hold(self, context: Context, event_id: UUID, hold_id: UUID) -> None:
        """Lift a hold."""
        if self.hold(hold_id).state != "placed":
            raise RuleRefused(rules.HOLD_STATE, hold_id=hold_id)
        self.record(HoldReleased, context, event_id, hold_id=hold_id)

    def hold(self, hold_id: UUID) -> Hold:
        """Return one hold. Raises :class:`RuleRefused` (404) when there is no such hold on the person's data."""
        try:
            return self.holds[hold_id]
        except KeyError:
            raise RuleRefused(rules.HOLD_UNKNOWN, hold_id=hold_id) from None

    def held(self, key: KeyScope, at: datetime | None = None) -> Hold | None:
        """Return the hold that keeps a key scope from erasure, the one to be looked at again last, or ``None``.

        ``at``: as of then, for something that was withheld at that time; else now.
        """
        covering = [hold for hold in self.holds.values() if hold.covers(key, at)]
        return max(covering, key=lambda hold: hold.terms.review_date, default=None)

    def has_holds(self) -> bool:
        """Return whether any hold stands, whatever it covers."""
        return any(hold.state == "placed" for hold in self.holds.values())

    def _fenced_among(self, scope_ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
        """Return certificate → those of these key scopes that were fenced under it."""
        found: dict[UUID, list[UUID]] = {} if self.fenced_under is None else {self.fenced_under: []}
        for scope_id in scope_ids:
            certificate_id = self.fenced_scopes.get(scope_id, self.fenced_under)
            if certificate_id is not None:
                found.setdefault(certificate_id, []).append(scope_id)
        return found

    def _record_hold(
        self,
        event_class: type[TermsEvent],
        context: Context,
        event_id: UUID,
        hold_id: UUID,
        terms: HoldTerms,
        **more: Any,
    ) -> None:
        self.record(
            event_class,
            context,
            event_id,
            hold_id=hold_id,
            ground=terms.ground,
            instrument_id=terms.instrument_id,
            categories=terms.categories,
            case_ids=terms.case_ids,
            review_date=terms.review_date,
            **more,
        )

    def on_HoldPlaced(self, event: HoldPlaced) -> None:  # noqa: D102
        self._take_hold(event, "placed")

    def on_HoldIneffective(self, event: HoldIneffective) -> None:  # noqa: D102
        if event.hold_id not in self.holds:
            self._take_hold(event, "ineffective")
        hold = self.holds[event.hold_id]
        part = Ineffective(event.reason, event.certificate_id, event.scope_ids)
        self.holds[hold.id] = replace(hold, ineffective=(*hold.ineffective, part))

    def on_HoldReleased(self, event: HoldReleased) -> None:  # noqa: D102
        self.holds[event.hold_id] = replace(self.holds[event.hold_id], state="released", released_at=event.timestamp)

    def _take_hold(self, event: TermsEvent, state: str) -> None:
        terms = HoldTerms(event.ground, event.instrument_id, event.categories, event.case_ids, event.review_date)
        self.holds[event.hold_id] = Hold(event.hold_id, terms, state, event.timestamp)
