"""A person: the privacy boundary. Consents, disclosures, requests and forgetting are decided in this stream."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from domain import rules
from domain.aggregate import DecidingAggregate
from domain.certificates import Certificate, CertificateDecisions
from domain.consents import Consent
from domain.disclosures import Disclosure
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.person import EngagementStarted, NoticeServed, SubjectRegistered
from domain.holds import Hold
from domain.rights import RightsRequest
from domain.sealed import SealedField, SealedPart


class Subject(DecidingAggregate, CertificateDecisions):
    """A person's stream; the id is random and says nothing about them."""

    TOPIC = "Subject"

    def __init__(self) -> None:
        """Start with nothing known but what registration says."""
        self.engagement = 1
        self.language = ""
        self.identity: SealedField | None = None
        self.notices: set[str] = set()
        self.fenced_scopes: dict[UUID, UUID] = {}
        self.fenced_under: UUID | None = None
        self.consents: dict[UUID, Consent] = {}
        self.disclosures: dict[UUID, Disclosure] = {}
        self.requests: dict[UUID, RightsRequest] = {}
        self.certificates: dict[UUID, Certificate] = {}
        self.holds: dict[UUID, Hold] = {}

    @property
    def fenced(self) -> bool:
        """Return whether the whole person is fenced: nothing new about them is recorded."""
        return self.fenced_under is not None

    def check_engaged(self) -> None:
        """Raise :class:`RuleRefused` unless the person's identity is there still.

        Nothing new is begun under it otherwise: what an erasure has left would be told whose it is.
        """
        if self.fenced or self.identity is None or self.identity.part.scope_id in self.fenced_scopes:
            raise RuleRefused(rules.IDENTITY_ERASED, subject_id=self.id)

    def concerned(self) -> tuple[UUID, ...]:
        """Return the person themselves."""
        return (self.id,)

    @classmethod
    def register(cls, context: Context, event_id: UUID, subject_id: UUID, language: str, identity: SealedPart) -> Self:
        """Register a person with their sealed identity (policy clause 1.1)."""
        return cls._create(
            SubjectRegistered,
            id=subject_id,
            timestamp=context.at,
            context=context,
            event_id=event_id,
            subject_ids=(subject_id,),
            case_id=None,
            engagement=1,
            language=language,
            identity=identity,
        )

    def start_engagement(self, context: Context, event_id: UUID, language: str, identity: SealedPart) -> None:
        """Begin the next engagement with the identity as it is now; requests received before do not reach into it."""
        self.check_engaged()
        self.record(
            EngagementStarted,
            context,
            event_id,
            engagement=self.engagement + 1,
            language=language,
            identity=identity,
        )

    def serve_notice(self, context: Context, event_id: UUID, notice_version: str) -> None:
        """Record that the notice of a policy version was shown; once per version."""
        if notice_version not in self.notices:
            self.record(NoticeServed, context, event_id, notice_version=notice_version, language=self.language)

    def on_SubjectRegistered(self, event: SubjectRegistered) -> None:  # noqa: D102
        self.engagement = event.engagement
        self.language = event.language
        self.identity = event.sealed_field("identity")

    def on_EngagementStarted(self, event: EngagementStarted) -> None:  # noqa: D102
        self.engagement = event.engagement
        self.language = event.language
        self.identity = event.sealed_field("identity")

    def on_NoticeServed(self, event: NoticeServed) -> None:  # noqa: D102
        self.notices.add(event.notice_version)
