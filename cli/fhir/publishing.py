"""Publishes people through the inbox: registration, then case, then intakes, many people at a time.

Before anything is published it is looked up whether the service did it before; so an import that is repeated, or goes
on after it was killed, doubles nothing, and finds out the identifiers it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from uuid import UUID

from application.schemas.casework import SubmitIntakeSchema
from application.schemas.loading import load
from application.schemas.people import RegisterSubjectSchema
from cli.fhir.intake import Import
from cli.fhir.message_ids import MessageIds
from domain.errors import InvalidInput

FORM = {"form": "medical_intake", "form_version": 1}


@dataclass(frozen=True)
class Said:
    """An outcome: the answer, or the slug and the named fields of the problem."""

    answer: Mapping[str, Any] | None
    slug: str = ""
    fields: tuple[str, ...] = ()


class Inbox(Protocol):
    """The way to the service."""

    def before(self, message_id: UUID) -> Said | None:
        """Return what was answered to this message earlier, if it was ever handled."""

    def send(self, messages: Sequence[tuple[UUID, str, Mapping[str, Any]]]) -> list[Said]:
        """Publish messages (id, command, data) and return their outcomes in that order."""


@dataclass
class Result:
    """What became of one person: refused with a slug, or taken; ``known``: they were registered before."""

    person: Import
    known: bool = False
    refused: str = ""
    fields: tuple[str, ...] = ()
    published: list[str] = field(default_factory=list)
    subject_id: str = ""
    case_id: str = ""


def checked(person: Import, policy_version: str) -> Result:
    """Return a person as refused where the service's schemas would not take their bodies; nothing is sent."""
    result = Result(person)
    try:
        load(RegisterSubjectSchema, person.registration)
        for answers in person.answers:
            load(SubmitIntakeSchema, _form(answers, policy_version))
    except InvalidInput as error:
        result.refused = error.slug
        result.fields = tuple(problem.field for problem in error.problems)
    return result


@dataclass(frozen=True)
class _Step:
    result: Result
    command: str
    content: Any
    data: dict[str, Any]


class PeoplePublisher:
    """Publishes batches of people. Threads may share one."""

    def __init__(self, inbox: Inbox, ids: MessageIds, policy_version: str, kind: str) -> None:
        self._inbox = inbox
        self._ids = ids
        self._policy_version = policy_version
        self._kind = kind

    def publish(self, people: Sequence[Import]) -> list[Result]:
        """Take a batch of people through all three commands. Raises what the inbox raises: then do it again."""
        results = [checked(person, self._policy_version) for person in people]
        self._take(results, self._registrations)
        self._take(results, self._cases)
        self._take(results, self._intakes)
        return results

    def _registrations(self, result: Result) -> Iterator[_Step]:
        yield _Step(result, "register_subject", None, result.person.registration)

    def _cases(self, result: Result) -> Iterator[_Step]:
        yield _Step(result, "open_case", self._kind, {"subject_id": result.subject_id, "kind": self._kind})

    def _intakes(self, result: Result) -> Iterator[_Step]:
        for answers in result.person.answers:
            data = {"case_id": result.case_id, **_form(answers, self._policy_version)}
            yield _Step(result, "submit_intake", [self._kind, answers], data)

    def _take(self, results: Sequence[Result], steps: Any) -> None:
        to_send: list[tuple[UUID, _Step]] = []
        for step in (step for result in results if not result.refused for step in steps(result)):
            message_id, earlier = self._before(step)
            if earlier is not None:
                _note(step, earlier)
                step.result.known |= step.command == "register_subject"
            else:
                to_send.append((message_id, step))
        said = self._inbox.send([(message_id, step.command, step.data) for message_id, step in to_send])
        for (message_id, step), outcome in zip(to_send, said, strict=True):
            if outcome.slug == "idempotency-key-reused":
                # Another import was faster: what it was answered holds for us.
                outcome = self._inbox.before(message_id) or outcome
            elif outcome.answer is not None:
                step.result.published.append(step.command)
            _note(step, outcome)

    def _before(self, step: _Step) -> tuple[UUID, Said | None]:
        """Return the id to publish under, and the answer if it was accepted earlier; past refusals are tried anew."""
        for attempt in count():
            message_id = self._ids.of(step.command, step.result.person.identity, step.content, attempt)
            earlier = self._inbox.before(message_id)
            if earlier is None or earlier.answer is not None:
                return message_id, earlier
        raise AssertionError("unreachable")


def _form(answers: Mapping[str, Any], policy_version: str) -> dict[str, Any]:
    return {**FORM, "answers": dict(answers), "notice": {"policy_version": policy_version}}


def _note(step: _Step, said: Said) -> None:
    result = step.result
    if said.answer is None:
        result.refused, result.fields = said.slug, said.fields
    elif step.command == "register_subject":
        result.subject_id = said.answer["id"]
    elif step.command == "open_case":
        result.case_id = said.answer["id"]
