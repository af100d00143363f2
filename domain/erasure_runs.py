"""How an erasure goes on that was withheld, and what is recorded of each run before its keys go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from domain import rules
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.rights import ErasureDrained, ErasureFenced, ErasureResumed, ErasureWithheld, SuppressionEntered
from domain.rights import ErasurePlan, RightsDecisions, room_beside


class ErasureRuns(RightsDecisions):
    """The part of a person's aggregate that decides about the runs of an erasure, each with its own certificate."""

    def fence_erasure(
        self, context: Context, event_id: UUID, request_id: UUID, certificate_id: UUID, plan: ErasurePlan
    ) -> None:
        """Fence what can be erased now: the point of no return. If that is nothing, record what is withheld.

        If nothing is withheld either, another request has taken all of it: the fence, and the certificate, are empty.
        No more is fenced than one certificate can list; the rest is for the next run. Refused when what is withheld
        fills it alone.

        The person is fenced whole only when nothing stands against it: no key scope is withheld, no hold covers what
        may come into use meanwhile, no later engagement has begun, and nothing is left for another run.
        """
        request = self._check_state(request_id, "approved")
        taken = plan.erasable[: room_beside(len(plan.withheld))]
        if plan.erasable and not taken:
            raise RuleRefused(rules.ERASURE_TOO_LARGE, request_id=request_id)
        whole = self._whole_person(request, plan) and taken == plan.erasable
        if plan.withheld and not plan.erasable:
            self.record(
                ErasureWithheld,
                context,
                event_id,
                request_id=request_id,
                withheld=tuple(plan.withheld),
                withheld_grounds=tuple(plan.withheld.values()),
            )
            return
        self.record(
            ErasureFenced,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate_id,
            whole_person=whole,
            scope_ids=taken,
            withheld=tuple(plan.withheld),
            withheld_grounds=tuple(plan.withheld.values()),
        )

    def resume_erasure(self, context: Context, event_id: UUID, request_id: UUID, plan: ErasurePlan) -> None:
        """Let an approved erasure go on that was held up, when ``plan`` erases more of it now; its clock runs on.

        One that waits although nothing is left of it goes on, too: to its end.
        """
        request = self._check_erasure(request_id)
        if request.state not in ("withheld", "certified"):
            return
        freed = any(scope_id in request.withheld for scope_id in plan.erasable)
        nothing_left = request.state == "withheld" and not plan.erasable and not plan.withheld
        left = request.state == "certified" and request.runs()[-1].full and bool(plan.erasable)
        if freed or left or nothing_left or (self.fenced_under is None and self._whole_person(request, plan)):
            self.record(ErasureResumed, context, event_id, request_id=request_id)

    def extend_fence(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        scope_ids: tuple[UUID, ...],
        withheld: Mapping[UUID, str],
    ) -> None:
        """Fence scopes that came into use while the first fence was being appended, under the same certificate.

        Those that a hold covers by now are noted as withheld, so that its release lets the erasure go on for them.
        """
        fenced = self._fence_of(request_id)
        self.record(
            ErasureFenced,
            context,
            event_id,
            request_id=request_id,
            certificate_id=fenced.certificate_id,
            whole_person=fenced.whole_person,
            scope_ids=(*fenced.scope_ids, *scope_ids),
            withheld=tuple(withheld),
            withheld_grounds=tuple(withheld.values()),
        )

    def record_drain(
        self, context: Context, event_id: UUID, request_id: UUID, acknowledged: int, unanswered: int
    ) -> None:
        """Record how many processes have let go of the keys, and how many have not said so in time."""
        fenced = self._fence_of(request_id)
        self.record(
            ErasureDrained,
            context,
            event_id,
            request_id=request_id,
            certificate_id=fenced.certificate_id,
            processes_acknowledged=acknowledged,
            processes_unanswered=unanswered,
        )

    def enter_suppression(self, context: Context, event_id: UUID, request_id: UUID, expires_at: datetime) -> None:
        """Record that the person would be noticed when somebody brings them in again."""
        fenced = self._fence_of(request_id)
        self.record(
            SuppressionEntered,
            context,
            event_id,
            request_id=request_id,
            certificate_id=fenced.certificate_id,
            expires_at=expires_at,
        )

    def _fence_of(self, request_id: UUID) -> ErasureFenced:
        fenced = self._check_state(request_id, "fenced").fenced
        assert fenced is not None
        return fenced

    def on_ErasureWithheld(self, event: ErasureWithheld) -> None:  # noqa: D102
        self._take_request(event, state="withheld", withheld=event.withheld)

    def on_ErasureResumed(self, event: ErasureResumed) -> None:  # noqa: D102
        runs = self.requests[event.request_id].runs()
        nothing = {"fenced": None, "drained": None, "destroyed": None, "certified": None, "suppressed_until": None}
        self._take_request(event, state="approved", earlier=runs, **nothing)

    def on_ErasureDrained(self, event: ErasureDrained) -> None:  # noqa: D102
        self._take_request(event, state="drained", drained=event)

    def on_SuppressionEntered(self, event: SuppressionEntered) -> None:  # noqa: D102
        self._take_request(event, suppressed_until=event.expires_at)
