"""A person's requests and the forgetting of a person, decided in the person's stream (policy clauses 7.2 and 8)."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain import rules
from domain.disclosures import DisclosureDecisions
from domain.errors import FieldProblem, RuleRefused
from domain.events.base import Context, Event
from domain.events.rights import (
    ErasureApproved,
    ErasureCertified,
    ErasureDrained,
    ErasureFenced,
    ErasureKeysDestroyed,
    ErasurePreviewed,
    RequesterVerified,
    RightsRequestExtended,
    RightsRequestReceived,
    RightsRequestRefused,
)
from domain.holds import HoldDecisions
from domain.preview_changes import preview_changes
from domain.sealed import KeyScope, SealedPart

ENDED = ("refused", "certified")
MOST_SCOPES = 1_500
"""Most key scopes of one run of an erasure: its certificate is one record of the log.

More are refused at the approval; what has come in since then is left to the next run.
"""


def room_beside(scopes: int) -> int:
    """Return how many key scopes a run can take that lists so many already.

    In all one more than are approved: so a run that left something is told from one that took all that was approved.
    """
    return max(0, MOST_SCOPES + 1 - scopes)


@dataclass(frozen=True)
class ErasureScope:
    """What a person asks to be erased; empty means everything."""

    categories: tuple[str, ...]
    case_ids: tuple[UUID, ...]

    @property
    def whole_person(self) -> bool:
        """Return whether everything about the person is meant."""
        return not self.categories and not self.case_ids


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure would do now, by key scope: destroy, withhold (scope → ground), or find gone."""

    erasable: tuple[UUID, ...]
    withheld: Mapping[UUID, str]
    gone: tuple[UUID, ...]


@dataclass(frozen=True)
class DestroyedKeys:
    """What the vault reports of destroyed keys."""

    scope_ids: tuple[UUID, ...]
    destroyed_at: datetime
    unrecoverable_after: datetime
    root_epoch_before: int
    root_epoch_after: int
    fingerprints: tuple[str, ...]


@dataclass(frozen=True)
class CertifiedErasure:
    """One run of an erasure, from its fence to its certificate."""

    fenced: ErasureFenced
    drained: ErasureDrained | None
    destroyed: ErasureKeysDestroyed
    certified: ErasureCertified
    suppressed_until: datetime | None

    @property
    def full(self) -> bool:
        """Return whether more may have been left than the certificate could list."""
        return not room_beside(len(self.fenced.scope_ids) + len(self.fenced.withheld))


@dataclass(frozen=True)
class RightsRequest:
    """One request and how far it has come.

    ``state`` is ``received``, ``verified``, ``refused``, ``previewed``, ``approved``, ``withheld``, ``fenced``,
    ``drained``, ``destroyed`` or ``certified``; the first erasures were recorded without being drained. ``handlers``
    are the principals who took a step in it. Looking at the preview is none: whoever approves has looked at it.
    ``engagement`` is the person's latest when the request came in. What was withheld may be erased in a later run, with
    a certificate of its own: ``earlier`` are the runs before this one.
    """

    id: UUID
    right: str
    state: str
    received: datetime
    due: datetime
    scope: ErasureScope
    handlers: frozenset[tuple[str, str]]
    engagement: int = 1
    extended: bool = False
    preview: ErasurePreviewed | None = None
    fenced: ErasureFenced | None = None
    drained: ErasureDrained | None = None
    destroyed: ErasureKeysDestroyed | None = None
    certified: ErasureCertified | None = None
    suppressed_until: datetime | None = None
    withheld: tuple[UUID, ...] = ()
    earlier: tuple[CertifiedErasure, ...] = ()

    def concerns(self, scope_id: UUID, key: KeyScope) -> bool:
        """Return whether a key scope is among what the person asked for.

        Nothing of an engagement that began after the request is. Where single categories or cases were asked for, a
        later run erases only what an earlier one withheld, or could not list: what came in since was not meant.
        """
        if key.engagement > self.engagement or not key.within(self.scope.categories, self.scope.case_ids):
            return False
        if self.scope.whole_person or not self.earlier or self.earlier[-1].full:
            return True
        return scope_id in self.earlier[-1].fenced.withheld

    def runs(self) -> tuple[CertifiedErasure, ...]:
        """Return the runs that have their certificate, the first one first."""
        if self.fenced is None or self.destroyed is None or self.certified is None:
            return self.earlier
        run = CertifiedErasure(self.fenced, self.drained, self.destroyed, self.certified, self.suppressed_until)
        return (*self.earlier, run)

    @property
    def preview_id(self) -> UUID | None:
        """Return what names the preview that was shown last."""
        return self.preview.preview_id if self.preview else None


@dataclass(frozen=True)
class DueErasure:
    """An erasure of which a step is due; ``cause`` is the event that calls for it."""

    subject_id: UUID
    request_id: UUID
    cause: UUID


def months_after(moment: datetime, months: int) -> datetime:
    """Return the same day some months later, clamped to the end of that month (GDPR Art. 12(3))."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


class RightsDecisions(DisclosureDecisions, HoldDecisions):
    """The part of a person's aggregate that decides about the person's requests."""

    requests: dict[UUID, RightsRequest]
    engagement: int

    def receive_request(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        right: str,
        channel: str,
        scope: ErasureScope,
        statement: SealedPart | None,
    ) -> None:
        """Take a request in: always accepted, unless one for the same right is active already."""
        for other in self.requests.values():
            if other.right == right and other.state not in ENDED:
                raise RuleRefused(rules.REQUEST_ACTIVE, request_id=other.id)
        self.record(
            RightsRequestReceived,
            context,
            event_id,
            request_id=request_id,
            right=right,
            channel=channel,
            categories=scope.categories,
            case_ids=scope.case_ids,
            due=months_after(context.at, 1),
            statement=statement,
        )

    def verify_requester(self, context: Context, event_id: UUID, request_id: UUID, method: str, outcome: str) -> None:
        """Record the check of the requester's identity; a failed one can be repeated."""
        self._check_state(request_id, "received")
        self.record(RequesterVerified, context, event_id, request_id=request_id, method=method, outcome=outcome)

    def refuse_request(
        self, context: Context, event_id: UUID, request_id: UUID, ground: str, explanation: SealedPart | None
    ) -> None:
        """Refuse a request, on a stated ground, before anything was approved."""
        self._check_state(request_id, "received", "verified", "previewed")
        self.record(
            RightsRequestRefused, context, event_id, request_id=request_id, ground=ground, explanation=explanation
        )

    def extend_request(self, context: Context, event_id: UUID, request_id: UUID) -> None:
        """Extend the deadline by two months, once, and only before it has passed (GDPR Art. 12(3))."""
        request = self._check_state(request_id, "received", "verified", "previewed")
        if request.extended or context.at >= request.due:
            raise RuleRefused(rules.REQUEST_EXTENSION, request_id=request_id)
        due = months_after(request.received, 3)
        self.record(RightsRequestExtended, context, event_id, request_id=request_id, due=due)

    def preview_erasure(
        self, context: Context, event_id: UUID, request_id: UUID, preview_id: UUID, plan: ErasurePlan
    ) -> None:
        """Record what an officer was shown; the same preview again changes nothing."""
        request = self._check_erasure(request_id)
        if request.state == "received":
            raise RuleRefused(rules.IDENTITY_NOT_VERIFIED, request_id=request_id)
        self._check_state(request_id, "verified", "previewed")
        if request.preview_id == preview_id:
            return
        self.record(
            ErasurePreviewed,
            context,
            event_id,
            request_id=request_id,
            preview_id=preview_id,
            erasable=plan.erasable,
            withheld=tuple(plan.withheld),
            withheld_grounds=tuple(plan.withheld.values()),
            gone=plan.gone,
        )

    def approve_erasure(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        preview_id: UUID,
        current_preview_id: UUID,
        plan: ErasurePlan,
    ) -> None:
        """Approve a preview that still holds, ``plan`` being what holds now; by an officer who has not handled it.

        A stale preview is refused with what has changed since it was shown.
        """
        request = self._check_erasure(request_id)
        if request.state == "received":
            raise RuleRefused(rules.IDENTITY_NOT_VERIFIED, request_id=request_id)
        self._check_state(request_id, "previewed")
        if context.actor.principal in request.handlers:
            raise RuleRefused(rules.APPROVED_BY_REQUESTER, request_id=request_id)
        if not preview_id == request.preview_id == current_preview_id:
            raise RuleRefused(rules.PREVIEW_STALE, self._changed(request, plan), request_id=request_id)
        if not plan.erasable:
            raise RuleRefused(rules.NOTHING_TO_ERASE, request_id=request_id)
        if len(plan.erasable) + len(plan.withheld) > MOST_SCOPES:
            raise RuleRefused(rules.ERASURE_TOO_LARGE, request_id=request_id)
        self.record(ErasureApproved, context, event_id, request_id=request_id, preview_id=preview_id)

    def record_destruction(
        self, context: Context, event_id: UUID, request_id: UUID, destruction: DestroyedKeys
    ) -> None:
        """Record that the keys are gone; every view purges when it meets this event."""
        fenced = self._check_state(request_id, "drained").fenced
        assert fenced is not None
        self.record(
            ErasureKeysDestroyed,
            context,
            event_id,
            request_id=request_id,
            certificate_id=fenced.certificate_id,
            whole_person=fenced.whole_person,
            scope_ids=destruction.scope_ids,
            destroyed_at=destruction.destroyed_at,
            unrecoverable_after=destruction.unrecoverable_after,
            root_epoch_before=destruction.root_epoch_before,
            root_epoch_after=destruction.root_epoch_after,
            fingerprints=destruction.fingerprints,
        )

    def certify_erasure(
        self, context: Context, event_id: UUID, request_id: UUID, view_positions: Mapping[str, int]
    ) -> None:
        """Certify the erasure once every view has reported the position at which it purged."""
        fenced = self._check_state(request_id, "destroyed").fenced
        assert fenced is not None
        self.record(
            ErasureCertified,
            context,
            event_id,
            request_id=request_id,
            certificate_id=fenced.certificate_id,
            view_positions=dict(view_positions),
        )

    def request(self, request_id: UUID) -> RightsRequest:
        """Return one request. Raises :class:`RuleRefused` (404) when the person made no such request."""
        try:
            return self.requests[request_id]
        except KeyError:
            raise RuleRefused(rules.REQUEST_UNKNOWN, request_id=request_id) from None

    def _whole_person(self, request: RightsRequest, plan: ErasurePlan) -> bool:
        unopposed = not plan.withheld and not self.has_holds() and request.engagement == self.engagement
        return request.scope.whole_person and unopposed

    def _check_state(self, request_id: UUID, *states: str) -> RightsRequest:
        request = self.request(request_id)
        if request.state not in states:
            raise RuleRefused(rules.REQUEST_STATE, request_id=request_id)
        return request

    def _changed(self, request: RightsRequest, plan: ErasurePlan) -> list[FieldProblem]:
        assert request.preview is not None
        changes = preview_changes(request.preview, plan.erasable, plan.withheld, plan.gone)
        return changes or [FieldProblem("preview_id", "is not that of the last preview")]

    def _check_erasure(self, request_id: UUID) -> RightsRequest:
        request = self.request(request_id)
        if request.right != "erasure":
            raise RuleRefused(rules.NOT_AN_ERASURE, request_id=request_id)
        return request

    def on_RightsRequestReceived(self, event: RightsRequestReceived) -> None:  # noqa: D102
        self.requests[event.request_id] = RightsRequest(
            event.request_id,
            event.right,
            "received",
            event.timestamp,
            event.due,
            ErasureScope(event.categories, event.case_ids),
            frozenset({event.context.actor.principal}),
            self.engagement,
        )

    def on_RequesterVerified(self, event: RequesterVerified) -> None:  # noqa: D102
        state = "verified" if event.outcome == "verified" else "received"
        self._take_request(event, state=state)

    def on_RightsRequestRefused(self, event: RightsRequestRefused) -> None:  # noqa: D102
        self._take_request(event, state="refused")

    def on_RightsRequestExtended(self, event: RightsRequestExtended) -> None:  # noqa: D102
        self._take_request(event, due=event.due, extended=True)

    def on_ErasurePreviewed(self, event: ErasurePreviewed) -> None:  # noqa: D102
        self._take_request(event, state="previewed", preview=event)

    def on_ErasureApproved(self, event: ErasureApproved) -> None:  # noqa: D102
        self._take_request(event, state="approved")

    def on_ErasureFenced(self, event: ErasureFenced) -> None:  # noqa: D102
        self._take_request(event, state="fenced", fenced=event, withheld=event.withheld)
        self.fenced_scopes |= {s: event.certificate_id for s in event.scope_ids if s not in self.fenced_scopes}
        if event.whole_person and self.fenced_under is None:
            self.fenced_under = event.certificate_id

    def on_ErasureKeysDestroyed(self, event: ErasureKeysDestroyed) -> None:  # noqa: D102
        self._take_request(event, state="destroyed", destroyed=event)

    def on_ErasureCertified(self, event: ErasureCertified) -> None:  # noqa: D102
        self._take_request(event, state="certified", certified=event)

    def _take_request(self, event: Event, **changes: object) -> None:
        request = self.requests[event.request_id]  # type: ignore[attr-defined]
        handlers = request.handlers
        if not isinstance(event, ErasurePreviewed):
            handlers |= {event.context.actor.principal}
        self.requests[request.id] = replace(request, handlers=handlers, **changes)  # type: ignore[arg-type]
