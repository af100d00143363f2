"""The erasure saga: fence, drain, destroy, certify. Each step looks at the person's stream first: it is repeatable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from application.certificate import issue
from application.erasure_plan import plan_erasure, resume_erasures
from application.suppression import suppress
from application.unit_of_work import Resources, UnitOfWork
from domain.errors import CasekeeperError
from domain.events.base import Context
from domain.failures import Failures, noted
from domain.record import Actor
from domain.rights import DestroyedKeys, DueErasure, room_beside
from domain.subject import Subject
from store.append import Fence
from vault.destruction_request import DestructionRequest
from vault.forgetting import Destruction
from vault.holder import LEASE_SECONDS
from vault.recall import Recalled
from vault.vault import LONGEST_CACHE_SECONDS

LONGEST_CACHE = timedelta(seconds=LONGEST_CACHE_SECONDS)
"""How long after it was destroyed a key may be in the memory of a process that did not say it has let go."""
LONGEST_USE = timedelta(seconds=LEASE_SECONDS)
"""How long after it was destroyed a key may be in use, where all have let go: by a call that had read it before."""


class ErasureSaga:
    """What the forget projection drives. Raises ``RetriableError`` when a step is to be tried again."""

    def __init__(self, resources: Resources, clock: Callable[[], datetime]) -> None:
        self._resources = resources
        self._clock = clock

    def fence(self, erasure: DueErasure) -> None:
        """Fence what can be erased now; what changed since the preview is looked at again (policy clause 7.2)."""
        subject_id, request_id = erasure.subject_id, erasure.request_id
        work = self._work(erasure.cause)
        subject = work.load(Subject, subject_id)
        request = subject.request(request_id)
        if request.state != "approved":
            return
        plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject, request_id)
        certificate_id = work.new_id()
        subject.fence_erasure(work.context, work.new_id(), request_id, certificate_id, plan)
        taken = subject.request(request_id).fenced
        fences = [Fence(scope_id, "scope", certificate_id, work.now) for scope_id in (taken.scope_ids if taken else ())]
        if subject.fenced:
            fences.append(Fence(subject_id, "subject", certificate_id, work.now))
        work.fence(fences)
        work.append()

    def drain(self, erasures: Sequence[DueErasure]) -> Failures:
        """Recall the fenced keys of all of them at once, and record who let go; return what failed, by request.

        A scope can come into use between the plan and the fence that was made from it. The plan made after the fence
        sees every such scope: what it adds is fenced, too, before anything is recalled.
        """
        failures: Failures = {}
        due: list[tuple[DueErasure, DestructionRequest]] = []
        for erasure in erasures:
            with noted(failures, erasure.request_id):
                self._fence_rest(erasure)
                self._suppress(erasure)
                if asked := self._asked(erasure, "fenced"):
                    due.append((erasure, asked))
        if not due:
            return failures
        try:
            recalled = self._resources.vault.recall([asked for _, asked in due])
        except CasekeeperError as error:
            return failures | {erasure.request_id: error for erasure, _ in due}
        for erasure, _ in due:
            with noted(failures, erasure.request_id):
                self._record_drain(erasure, recalled)
        return failures

    def destroy(self, erasures: Sequence[DueErasure]) -> Failures:
        """Destroy the recalled keys of all of them in one rotation and record it; return what failed, by request."""
        failures: Failures = {}
        due: dict[UUID, tuple[DueErasure, DestructionRequest]] = {}
        for erasure in erasures:
            with noted(failures, erasure.request_id):
                if asked := self._asked(erasure, "drained"):
                    due[asked.certificate_id] = erasure, asked
        for certificate_id, outcome in self._destroyed([asked for _, asked in due.values()]).items():
            erasure = due[certificate_id][0]
            with noted(failures, erasure.request_id):
                self._record_destruction(erasure, outcome)
        return failures

    def certify(self, erasure: DueErasure, view_positions: Mapping[str, int]) -> None:
        """Certify once every view has purged, and sign the certificate in the same append: there is one or none."""
        work = self._work(erasure.cause)
        subject = work.load(Subject, erasure.subject_id)
        if subject.request(erasure.request_id).state != "destroyed":
            return
        subject.certify_erasure(work.context, work.new_id(), erasure.request_id, view_positions)
        issue(work, subject, erasure.request_id)
        resume_erasures(work, subject)
        work.append()

    def _asked(self, erasure: DueErasure, state: str) -> DestructionRequest | None:
        """Return what the vault is asked to take away; ``None`` when the erasure is not in this state."""
        request = self._work(erasure.cause).load(Subject, erasure.subject_id).request(erasure.request_id)
        fenced = request.fenced
        if request.state != state or fenced is None:
            return None
        people = frozenset([erasure.subject_id] if fenced.whole_person else [])
        return DestructionRequest(fenced.certificate_id, fenced.timestamp, people, frozenset(fenced.scope_ids))

    def _record_drain(self, erasure: DueErasure, recalled: Recalled) -> None:
        work = self._work(erasure.cause)
        subject = work.load(Subject, erasure.subject_id)
        if subject.request(erasure.request_id).state != "fenced":
            return
        counts = recalled.acknowledged, recalled.unanswered
        subject.record_drain(work.context, work.new_id(), erasure.request_id, *counts)
        work.append()

    def _destroyed(self, asked: Sequence[DestructionRequest]) -> Mapping[UUID, Destruction | CasekeeperError]:
        """Destroy all together. Where that cannot be done, one by one: what is wrong with one stops no other.

        An outage is wrong with all of them: then none is tried again.
        """
        vault = self._resources.vault
        if not asked:
            return {}
        try:
            return vault.destroy_many(asked)
        except CasekeeperError as error:
            if len(asked) == 1:
                return {asked[0].certificate_id: error}
        try:
            vault.health()
        except CasekeeperError as outage:
            return {one.certificate_id: outage for one in asked}
        return {id_: outcome for one in asked for id_, outcome in self._destroyed([one]).items()}

    def _record_destruction(self, erasure: DueErasure, outcome: Destruction | CasekeeperError) -> None:
        if isinstance(outcome, CasekeeperError):
            raise outcome
        work = self._work(erasure.cause)
        subject = work.load(Subject, erasure.subject_id)
        request = subject.request(erasure.request_id)
        if request.state != "drained" or request.drained is None:
            return
        known = LONGEST_CACHE if request.drained.processes_unanswered else LONGEST_USE
        destruction = DestroyedKeys(
            tuple(outcome.scope_ids),
            outcome.destroyed_at,
            outcome.destroyed_at + known,
            outcome.root_epoch_before,
            outcome.root_epoch_after,
            tuple(outcome.fingerprints),
        )
        subject.record_destruction(work.context, work.new_id(), erasure.request_id, destruction)
        work.append()

    def _fence_rest(self, erasure: DueErasure) -> None:
        subject_id, request_id = erasure.subject_id, erasure.request_id
        work = self._work(erasure.cause)
        subject = work.load(Subject, subject_id)
        request = subject.request(request_id)
        if request.state != "fenced" or request.fenced is None or request.fenced.whole_person:
            return
        plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject, request_id)
        room = room_beside(len(request.fenced.scope_ids) + len(request.fenced.withheld))
        rest = tuple(scope_id for scope_id in plan.erasable if scope_id not in request.fenced.scope_ids)[:room]
        held = [pair for pair in plan.withheld.items() if pair[0] not in request.fenced.withheld][: room - len(rest)]
        if not rest and not held:
            return
        withheld = {**dict(zip(request.fenced.withheld, request.fenced.withheld_grounds, strict=True)), **dict(held)}
        subject.extend_fence(work.context, work.new_id(), request_id, rest, withheld)
        work.fence([Fence(scope_id, "scope", request.fenced.certificate_id, work.now) for scope_id in rest])
        work.append()

    def _suppress(self, erasure: DueErasure) -> None:
        """Enter the person in the suppression list while their identity, if it is what goes, can still be opened.

        Before the recall: after it the identity opens no more. What an earlier try entered without recording it is
        entered once.
        """
        work = self._work(erasure.cause)
        subject = work.load(Subject, erasure.subject_id)
        request, identity = subject.request(erasure.request_id), subject.identity
        if request.state != "fenced" or request.fenced is None or request.suppressed_until or identity is None:
            return
        if request.fenced.whole_person or identity.part.scope_id in request.fenced.scope_ids:
            expires_at = suppress(work.vault, identity, work.now)
            if expires_at is not None:
                subject.enter_suppression(work.context, work.new_id(), erasure.request_id, expires_at)
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
