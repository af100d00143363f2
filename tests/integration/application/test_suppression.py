"""Erased people who are brought in again are noticed, go to a human, and nothing says whom they match."""

from __future__ import annotations

import hmac
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from application.service import Service
from application.suppression import recognised_by
from domain.errors import NotAllowed, RuleRefused
from tests.integration.application.made_people import INTAKE, OFFICER, Made, body
from tests.new_people import new_person

STEPS = ("fence", "drain", "destroy", "certify")


class Person(Made):
    """A person with an identity of their own choice."""

    def __init__(self, service: Service, identity: dict[str, Any]) -> None:
        self.service, self.identity = service, identity
        self.subject = self.register(identity)
        self.case = self.do(INTAKE, "open_case", body("open_case", subject_id=self.subject)).body["id"]
        self.do(INTAKE, "submit_intake", case_id=self.case)

    def register(self, identity: dict[str, Any], who: Any = INTAKE, name: str = "register_subject") -> str:
        return self.do(who, name, {**new_person(), "identity": identity}).body["id"]

    def erase(self, scope: dict[str, Any] | None = None, steps: tuple[str, ...] = STEPS) -> str:
        request = self.approved_erasure(scope)
        self.run_saga(request, *steps)
        return request

    def types(self) -> list[str]:
        return [stored.type for stored in self.service.log.read_stream(UUID(self.subject))]


def identity(**changes: Any) -> dict[str, Any]:
    own = uuid4().hex[:12]
    return {"given_name": "Ada", "family_name": f"Example{own}", "birth_date": "1970-02-03", **changes}


def refused(person: Person, again: dict[str, Any]) -> bool:
    """Return whether a registration goes to an officer; nothing is recorded then."""
    head = person.service.log.head()
    try:
        person.register(again)
    except RuleRefused as refusal:
        return (refusal.rule.slug, person.service.log.head()) == ("registration-needs-review", head)
    return False


def test_an_erased_person_brought_in_again_goes_to_an_officer(service: Service) -> None:
    who = identity(email="Ada.Example@example.org")
    person = Person(service, who)
    assert not refused(person, who), "nobody is suppressed while they are known"

    person.erase()

    name = who["family_name"]
    assert refused(person, who)
    assert refused(person, {**who, "family_name": f"  {name.upper()} ", "email": None})
    assert refused(person, {**who, "given_name": name, "family_name": "Ada", "email": None})
    assert refused(person, identity(email="ada.example@EXAMPLE.org"))
    assert not refused(person, {**who, "birth_date": "1970-02-04", "email": None})
    assert not refused(person, {**who, "given_name": "Bea", "email": None})


def test_an_officer_registers_them_after_review_and_nothing_tells_it_from_any_other_registration(
    service: Service,
) -> None:
    who = identity()
    person = Person(service, who)
    person.erase()

    again = person.register(who, OFFICER, "register_reviewed_subject")

    record = json.loads(service.log.read_stream(UUID(again))[0].record)
    assert again != person.subject
    assert record["type"] == "SubjectRegistered"
    assert record["data"] == {"engagement": 1, "language": "en"}
    assert person.subject not in json.dumps(record)
    with pytest.raises(NotAllowed):
        person.register(who, INTAKE, "register_reviewed_subject")


def test_the_entry_is_declared_on_the_certificate_and_made_before_the_keys_go(service: Service) -> None:
    person = Person(service, identity())
    request = person.erase()

    ids = {"subject_id": person.subject, "request_id": request}
    certificate = person.do(OFFICER, "erasure_certificate", {}, **ids).body
    year = service.clock().year
    assert certificate["suppressed_until"] == f"{year + 2}-01-01T00:00:00.000000Z"
    assert any("suppression" in text for text in certificate["not_proven"])
    types = person.types()
    assert types.index("SuppressionEntered") < types.index("ErasureKeysDestroyed")


def test_killed_between_the_entry_and_the_recall_it_is_made_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = identity()
    person = Person(service, who)
    request = person.approved_erasure()
    person.run_saga(request, "fence")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service.vault, "recall", killed)
    with pytest.raises(KeyboardInterrupt):
        person.run_saga(request, "drain")
    monkeypatch.undo()
    person.run_saga(request, "drain", "drain", "destroy", "certify")

    assert person.types().count("SuppressionEntered") == 1
    assert refused(person, who)


def test_a_person_whose_identity_stays_is_not_suppressed(service: Service) -> None:
    who = identity()
    person = Person(service, who)

    person.erase({"categories": ["medical"], "case_ids": None})

    assert "SuppressionEntered" not in person.types()
    assert not refused(person, who)


def test_a_person_whose_identity_goes_while_a_case_is_held_is_suppressed(service: Service) -> None:
    who = identity()
    person = Person(service, who)
    held = body("place_hold", scope={"categories": None, "case_ids": [person.case]})
    person.do(OFFICER, "place_hold", held, subject_id=person.subject)

    person.erase()

    assert refused(person, who)


def test_a_name_alone_recognises_nobody(service: Service) -> None:
    who = identity(birth_date=None)
    person = Person(service, who)

    request = person.erase()

    ids = {"subject_id": person.subject, "request_id": request}
    assert person.do(OFFICER, "erasure_certificate", {}, **ids).body["suppressed_until"] is None
    assert not refused(person, who)


def test_nothing_of_an_entry_is_in_any_event(service: Service) -> None:
    who = identity(email=f"{uuid4().hex}@example.org")
    head = service.log.head()
    person = Person(service, who)
    person.erase()

    published = b"".join(bytes(r.record) for r in service.log.read_from(head + 1, 1000)).lower()

    year = service.clock().year
    for text in recognised_by(who):
        mac = hmac.digest(service.vault.secret(f"suppression-{year}"), text, "sha256")
        assert mac.hex().encode() not in published
    assert who["family_name"].lower().encode() not in published


def test_expired_entries_go_with_the_other_housekeeping(service: Service) -> None:
    who = identity()
    person = Person(service, who)
    person.erase()
    end = service.clock().replace(year=service.clock().year + 2)

    gone = service.vault.suppression.destroy_expired(end)

    assert gone == [f"suppression-{service.clock().year}"]
    assert not refused(person, who)
