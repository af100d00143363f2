"""What happened to one person or one case, and how things stood at a moment: from the records of the log alone.

The same log gives the same answer, byte for byte: no clock, no view and no key is asked. Sealed parts stay sealed; what
has been destroyed is a tombstone with its certificate, also in the state of a moment before the destruction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from audit.as_of import AsOf, Cut
from audit.case_state import Cases
from audit.erasures import Erasures
from audit.holds import Holds
from audit.ledgers import Agreements, Consents, Disclosures
from audit.person_state import Person, Principals, Requests
from domain.errors import NotFound
from domain.record import Record

Replay = dict[str, Any]
"""``{"as_of": {"position", "time"}, "subject_id", "case_id", "history": […], "state": {…}}``, ready for JSON."""


def find_subject(records: Iterable[Record], case_id: UUID) -> UUID:
    """Return the person whose case it is. Raises :class:`NotFound`."""
    for record in records:
        if record.type == "CaseOpened" and record.stream_id == case_id:
            return record.subject_ids[0]
    raise NotFound("case", case_id)


def replay(
    records: Iterable[Record], subject_id: UUID, case_id: UUID | None = None, as_of: AsOf | None = None
) -> Replay:
    """Replay a whole log (from position 1) for a person, or for one case of theirs.

    Raises :class:`NotFound` when the log never heard of the person or case.
    """
    cut, erasures = Cut(as_of or AsOf()), Erasures()
    concerned: list[Record] = []
    for record in records:
        cut.see(record)
        erasures.see(record)
        if subject_id in record.subject_ids or record.type == "AgreementRegistered":
            concerned.append(record)
    about = [record for record in concerned if subject_id in record.subject_ids and _in_case(record, case_id)]
    if not about:
        raise NotFound("person" if case_id is None else "case", case_id or subject_id)
    past = [record for record in concerned if record.position <= cut.position]
    return {
        "as_of": cut.to_json(),
        "subject_id": str(subject_id),
        "case_id": None if case_id is None else str(case_id),
        "history": [erasures.entry(record) for record in about if record.position <= cut.position],
        "state": _state(past, subject_id, case_id, cut, erasures),
    }


def _state(
    records: Iterable[Record], subject_id: UUID, case_id: UUID | None, cut: Cut, erasures: Erasures
) -> dict[str, Any]:
    person, cases, principals = Person(erasures), Cases(erasures), Principals()
    consents, agreements, requests = Consents(erasures), Agreements(), Requests(erasures)
    disclosures, holds = Disclosures(erasures, consents, agreements), Holds()
    for record in records:
        agreements.apply(record)
        if subject_id in record.subject_ids:
            for part in (person, consents, disclosures, requests, holds, cases):
                part.apply(record)
            if _in_case(record, case_id):
                principals.apply(record)
    return {
        "policy_in_force": cut.policy_version,
        "subject": person.subject(),
        "consents": consents.at(cut.moment),
        "disclosures": [d for d in disclosures.items() if case_id is None or d["case_id"] == str(case_id)],
        "requests": requests.items(),
        "erasures": requests.erasures(),
        "holds": holds.items(),
        "cases": [c for c in cases.items() if case_id is None or c["id"] == str(case_id)],
        "principals": principals.items(),
        "reads": principals.reads,
    }


def _in_case(record: Record, case_id: UUID | None) -> bool:
    return case_id is None or case_id in (record.case_id, record.stream_id)
