"""Synthetic people whose fields are sealed in events that exist only as bindings."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from domain.sealed import Binding, Erased, KeyScope, SealedField
from vault.vault import Vault


@dataclass(frozen=True)
class SealedFact:
    """A sealed field and what was sealed in it."""

    field: SealedField
    value: dict[str, str]

    @property
    def subject_id(self) -> UUID:
        return self.field.part.subject_id

    @property
    def scope_id(self) -> UUID:
        return self.field.part.scope_id


def seal_fact(
    vault: Vault, subject_id: UUID, category: str = "medical", case_id: UUID | None = None, engagement: int = 1
) -> SealedFact:
    """Seal a value of its own for one person and category."""
    scope_id = vault.scope(KeyScope(subject_id, category, case_id, engagement))
    binding = Binding(subject_id, uuid4(), uuid4(), "IntakeSubmitted", 1, category)
    value = {"note": f"{category} note {uuid4()}"}
    return SealedFact(SealedField(vault.seal(scope_id, category, binding, value), binding), value)


def seal_people(vault: Vault, count: int, categories: tuple[str, ...] = ("identity", "medical")) -> list[SealedFact]:
    """Seal a value per category for new people, in the order in which they were registered."""
    return [seal_fact(vault, subject_id, c) for subject_id in [uuid4() for _ in range(count)] for c in categories]


def all_open(vault: Vault, facts: list[SealedFact]) -> bool:
    """Return whether every fact opens to exactly what was sealed."""
    return vault.open_many([fact.field for fact in facts]) == [fact.value for fact in facts]


def all_erased(vault: Vault, facts: list[SealedFact], certificate_id: UUID) -> bool:
    """Return whether every fact answers that it was erased under this certificate."""
    answers = [vault.open(fact.field) for fact in facts]
    return all(
        isinstance(answer, Erased) and (answer.scope_id, answer.certificate_id) == (fact.scope_id, certificate_id)
        for fact, answer in zip(facts, answers, strict=True)
    )
