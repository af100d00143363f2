"""One call per command that the inbox takes from a service. The fields are those of the HTTP bodies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

Identifier = UUID | str


class Commands(ABC):
    """Builds the messages; :class:`casekeeper_client.Client` publishes them. Each call returns the message id."""

    @abstractmethod
    def publish(
        self,
        command: str,
        data: Mapping[str, Any],
        *,
        purpose: str = "intake",
        actor: str | None = None,
        message_id: Identifier | None = None,
    ) -> str:
        """Publish one command and return its message id."""

    def register_subject(
        self,
        identity: Mapping[str, Any],
        time_zone: str,
        language: str,
        policy_version: str,
        *,
        message_id: Identifier | None = None,
    ) -> str:
        """Register a person to whom the notice of this policy version was shown.

        ``identity``: ``given_name``, ``family_name``, ``birth_date``, ``email``, ``phone``, ``address``.
        """
        data = {"identity": dict(identity), "time_zone": time_zone, "language": language, **_notice(policy_version)}
        return self.publish("register_subject", data, message_id=message_id)

    def open_case(self, subject_id: Identifier, kind: str, *, message_id: Identifier | None = None) -> str:
        """Open a case for a person; ``kind`` is ``second_opinion`` or ``care_coordination``."""
        return self.publish("open_case", {"subject_id": str(subject_id), "kind": kind}, message_id=message_id)

    def submit_intake(
        self,
        case_id: Identifier,
        form: str,
        form_version: int,
        answers: Mapping[str, Any],
        policy_version: str,
        *,
        message_id: Identifier | None = None,
    ) -> str:
        """Submit an intake form.

        ``answers``: ``reason``, ``medical_history``, ``medications``, ``allergies``, ``insurance``.
        """
        data = {"case_id": str(case_id), **_form(form, form_version, answers, policy_version)}
        return self.publish("submit_intake", data, message_id=message_id)

    def amend_intake(
        self,
        case_id: Identifier,
        intake_id: Identifier,
        form: str,
        form_version: int,
        answers: Mapping[str, Any],
        policy_version: str,
        *,
        message_id: Identifier | None = None,
    ) -> str:
        """Replace the answers of an intake; the former ones stay in the log."""
        ids = {"case_id": str(case_id), "intake_id": str(intake_id)}
        data = {**ids, **_form(form, form_version, answers, policy_version)}
        return self.publish("amend_intake", data, message_id=message_id)

    def grant_consent(
        self, subject_id: Identifier, terms: Mapping[str, Any], *, message_id: Identifier | None = None
    ) -> str:
        """Record what a person answered when asked for consent, or that they were asked.

        ``terms``: ``purpose``, ``recipient_ids``, ``categories``, ``policy_version``, ``language``, ``method``,
        ``valid_until``, and ``decision`` (``granted``, ``refused``, ``asked``) with ``consent_id`` where it was asked.
        """
        data = {"subject_id": str(subject_id), **terms}
        return self.publish("grant_consent", data, purpose="rights", message_id=message_id)

    def withdraw_consent(
        self,
        subject_id: Identifier,
        consent_id: Identifier,
        reason: str | None = None,
        *,
        message_id: Identifier | None = None,
    ) -> str:
        """Withdraw a consent for the person who gave it."""
        data: dict[str, Any] = {"subject_id": str(subject_id), "consent_id": str(consent_id)}
        if reason is not None:
            data["reason"] = reason
        return self.publish("withdraw_consent", data, purpose="rights", message_id=message_id)

    def receive_request(
        self,
        subject_id: Identifier,
        right: str,
        channel: str,
        *,
        categories: Sequence[str] | None = None,
        case_ids: Sequence[Identifier] | None = None,
        message_id: Identifier | None = None,
    ) -> str:
        """Hand in a person's request, about everything unless categories or cases are named.

        ``right``: ``access``, ``export``, ``rectification``, ``erasure``, ``restriction`` or ``objection``.
        """
        cases = None if case_ids is None else [str(case_id) for case_id in case_ids]
        scope = {"categories": None if categories is None else list(categories), "case_ids": cases}
        data = {"subject_id": str(subject_id), "right": right, "channel": channel, "scope": scope}
        return self.publish("receive_request", data, purpose="rights", message_id=message_id)


def _notice(policy_version: str) -> dict[str, Any]:
    return {"notice": {"policy_version": policy_version}}


def _form(form: str, form_version: int, answers: Mapping[str, Any], policy_version: str) -> dict[str, Any]:
    return {"form": form, "form_version": form_version, "answers": dict(answers), **_notice(policy_version)}
