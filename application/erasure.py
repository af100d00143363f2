"""The erasure saga's steps: fence, destroy, certify. Each looks at the person's stream first: it can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from application.erasure_plan import plan_erasure
from application.unit_of_work import Resources, UnitOfWork
from domain.events.base import Context
from domain.record import Actor
from domain.rights import Destruction
from domain.subject import Subject
from store.append import Fence

LONGEST_CACHE = timedelta(seconds=30)
"""The longest a process may keep a key after it was destroyed (``vault`` caches keys no longer)."""


class ErasureSaga:
    """What the forget projection drives. Raises ``RetriableError`` when a step is to be tried again."""

    def __init__(self, resources: Resources, clock: Callable[[], datetime]) -> None:
        self._resources = resources
        self._clock = clock

    def fence(self, subject_id: UUID, request_id: UUID, cause: UUID) -> None:
        """Fence what can be erased now; what changed since the preview is looked at again (policy clause 7.2)."""
        work = self._work(cause)
        subject = work.load(Subject, subject_id)
        request = subject.request(request_id)
        if request.state != "approved":
            return
        plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject_id, request.scope)
        certificate_id = work.new_id()
        subject.fence_erasure(work.context, work.new_id(), request_id, certificate_id, plan)
        fences = [Fence(scope_id, "scope", certificate_id, work.now) for scope_id in plan.erasable]
        if subject.fenced:
            fences.append(Fence(subject_id, "subject", certificate_id, work.now))
        work.fence(fences)
        work.append()

    def destroy(self, subject_id: UUID, request_id: UUID, cause: UUID) -> None:
        """Destroy the fenced keys and record it.

        A scope can come into use between the plan and the fence that was made from it. The plan made after the fence
        sees every such scope: what it adds is fenced, too, before anything is destroyed.
        """
        self._fence_rest(subject_id, request_id, cause)
        work = self._work(cause)
        subject = work.load(Subject, subject_id)
        request = subject.request(request_id)
        if request.state != "fenced" or request.fenced is None:
            return
        report = self._resources.vault.destroy(
            request.fenced.certificate_id,
            request.fenced.timestamp,
            [subject_id] if request.fenced.whole_person else [],
            list(request.fenced.scope_ids),
        )
        destruction = Destruction(
            tuple(report.scope_ids),
            report.destroyed_at,
            report.destroyed_at + LONGEST_CACHE,
            report.root_epoch_before,
            report.root_epoch_after,
            tuple(report.fingerprints),
        )
        subject.record_destruction(work.context, work.new_id(), request_id, destruction)
        work.append()

    def _fence_rest(self, subject_id: UUID, request_id: UUID, cause: UUID) -> None:
        work = self._work(cause)
        subject = work.load(Subject, subject_id)
        request = subject.request(request_id)
        if request.state != "fenced" or request.fenced is None or request.fenced.whole_person:
            return
        plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject_id, request.scope)
        rest = tuple(scope_id for scope_id in plan.erasable if scope_id not in request.fenced.scope_ids)
        if not rest:
            return
        subject.extend_fence(work.context, work.new_id(), request_id, rest)
        work.fence([Fence(scope_id, "scope", request.fenced.certificate_id, work.now) for scope_id in rest])
        work.append()

    def certify(self, subject_id: UUID, request_id: UUID, cause: UUID, view_positions: Mapping[str, int]) -> None:
        """Certify once every view has purged."""
        work = self._work(cause)
        subject = work.load(Subject, subject_id)
        if subject.request(request_id).state != "destroyed":
            return
        subject.certify_erasure(work.context, work.new_id(), request_id, view_positions)
        work.append()

    def _work(self, cause: UUID) -> UnitOfWork:
        now = self._clock()
        context = Context(
            now,
            Actor("casekeeper", "erasure-saga", "system"),
            "saga",
            "erasure",
            "legal_obligation",
            self._resources.policies.in_force(now).version,
            cause,
            cause,
        )
        return UnitOfWork(self._resources, context)
