"""Certificates on a real store and vault: one for each erasure, signed once, supplemented after the person is gone."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from application import signed_documents
from application.certificate_checks import check, check_against_log
from application.examples import BODIES
from application.service import Service
from application.signing_keys import CERTIFICATES, current_key, public_keys, rotate
from application.unit_of_work import UnitOfWork
from domain.errors import Fenced, InvalidInput, KeysUnavailable, RetriableError, RuleRefused
from domain.events.certificate import RecipientNotifiedOfErasure
from domain.instants import instant
from domain.record import Record
from domain.rights import months_after
from domain.sealed import KeyScope
from domain.subject import Subject
from tests.integration.application.made_people import MANAGER, OFFICER, SECOND_OFFICER, Made, caller
from tests.keyrings import files_of
from vault.keyring_location import KeyringLocation

REGULATOR = caller("regulator", "audit", "r1")


class Told:
    """A person of whom something was disclosed, then erased as far as the keys."""

    def __init__(self, service: Service, scope: dict[str, Any] | None = None, held: str | None = None) -> None:
        self.service = service
        self.made = Made(service)
        if held is not None:
            wish = {**BODIES["place_hold"], "scope": {"categories": [held], "case_ids": None}}
            self.hold = self.made.do(OFFICER, "place_hold", wish, subject_id=self.made.subject).body["id"]
        self.disclosure = self.made.authorized()
        self.made.release(self.disclosure)
        self.request = self.made.approved_erasure(scope)
        self.ids = {"subject_id": self.made.subject, "request_id": self.request}
        self.subject_id, self.request_id = UUID(self.made.subject), UUID(self.request)
        self.run("fence", "drain", "destroy")

    def run(self, *steps: str) -> None:
        self.made.run_saga(self.request, *steps)

    def certify(self) -> None:
        self.run("certify")

    def certificate(self, who: Any = OFFICER) -> dict[str, Any]:
        return self.made.do(who, "erasure_certificate", {}, **self.ids).body

    def do(self, name: str, body: dict[str, Any], who: Any = OFFICER) -> dict[str, Any]:
        return self.made.do(who, name, body, **self.ids).body

    def notify(self, **changes: Any) -> dict[str, Any]:
        sent = {"recipient_id": self.made.recipient, "channel": "email", "sent": instant(self.service.clock())}
        return self.do("notify_recipient", {**sent, **changes})

    def types(self) -> list[str]:
        return [record.type for record in self.service.log.read_stream(self.subject_id)]

    def against_log(self, lines: list[str]) -> list[str]:
        said, failures = check(lines, published(self.service))
        assert failures == []
        scopes = [UUID(scope["scope_id"]) for scope in said[0]["scopes"]]
        fenced = self.service.log.fenced([self.subject_id, *scopes])
        records = [Record.parse(r.position, r.record) for r in self.service.log.read_stream(self.subject_id)]
        return check_against_log(lines, said, records, fenced)


def published(service: Service) -> Any:
    return signed_documents.keys_of(json.dumps({"keys": public_keys(service.vault, service.clock(), CERTIFICATES)}))


def payload(jws: str) -> dict[str, Any]:
    part = jws.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def told(service: Service) -> Told:
    made = Told(service)
    made.certify()
    return made


def test_the_certificate_says_what_was_done(service: Service, told: Told) -> None:
    shown = told.certificate()
    said = payload(shown["jws"])
    rows = {str(r.scope_id): r for r in service.vault.scopes_of(told.subject_id)}

    assert {k: v for k, v in shown.items() if k in said and k != "recipients"} == {
        k: v for k, v in said.items() if k != "recipients"
    }
    assert {s["scope_id"] for s in said["scopes"]} == set(rows)
    assert {s["category"] for s in said["scopes"]} == {"identity", "medical", "insurance"}
    assert said["withheld"] == []
    assert said["fenced_at"] < said["destroyed_at"] < said["certified_at"] < said["unrecoverable_after"]
    due = instant(months_after(datetime.fromisoformat(said["destroyed_at"]), 1))
    owed = {"recipient_id": told.made.recipient, "disclosure_ids": [told.disclosure], "due": due}
    assert said["recipients"] == [owed]
    assert shown["recipients"] == [{**owed, "sent": None, "acknowledged": None}]
    assert (shown["state"], shown["supplements"]) == ("certified", [])


def test_anybody_can_check_the_signature_with_the_published_key(service: Service, told: Told) -> None:
    """With the primitives alone: RFC 7515, RFC 8037, RFC 7638."""
    signed, _, signature = told.certificate()["jws"].rpartition(".")
    header = json.loads(base64.urlsafe_b64decode(signed.split(".")[0] + "=="))
    [jwk] = [key for key in public_keys(service.vault, service.clock(), CERTIFICATES) if key["kid"] == header["kid"]]
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{jwk["x"]}"}}'.encode()
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))
    raw = base64.urlsafe_b64decode(signature + "==")

    assert header == {"alg": "EdDSA", "kid": header["kid"], "typ": "casekeeper-certificate+jws"}
    assert header["kid"] == base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    public.verify(raw, signed.encode())
    with pytest.raises(InvalidSignature):
        public.verify(raw, signed.encode() + b"x")


def test_it_is_the_same_for_every_reader_at_every_time(service: Service, told: Told) -> None:
    first = told.certificate()["jws"]
    rotate(service.vault, service.clock(), CERTIFICATES)
    told.notify()

    assert {told.certificate(who)["jws"] for who in (OFFICER, REGULATOR, MANAGER)} == {first}
    assert told.against_log([first]) == []


def test_what_is_withheld_has_its_ground_and_its_review_date(service: Service) -> None:
    """A payment scope stays, for the accounts, and is looked at again a year after the fence (policy clause 7.1)."""
    made = Made(service)
    scope_id = service.vault.scope(KeyScope(UUID(made.subject), "payment", None, 1))
    request = made.approved_erasure()
    made.run_saga(request)
    shown = made.do(OFFICER, "erasure_certificate", {}, subject_id=made.subject, request_id=request).body
    fenced = datetime.fromisoformat(shown["fenced_at"])

    assert shown["whole_person"] is False
    assert shown["withheld"] == [
        {
            "scope_id": str(scope_id),
            "category": "payment",
            "case_id": None,
            "ground": "accounting_duty",
            "review_date": instant(fenced.replace(year=fenced.year + 1)),
        }
    ]
    assert str(scope_id) not in {scope["scope_id"] for scope in shown["scopes"]}
    assert shown["recipients"] == []


def test_a_recipient_of_another_category_is_not_told(service: Service) -> None:
    told = Told(service, {"categories": ["insurance"], "case_ids": None})
    told.certify()

    assert told.certificate()["recipients"] == []
    with pytest.raises(RuleRefused) as refusal:
        told.notify()
    assert refusal.value.rule.slug == "recipient-not-on-certificate"


def test_supplements_after_the_whole_person_is_gone(service: Service, told: Told) -> None:
    certificate = told.certificate()["jws"]
    assert told.notify(delivery="failed")["number"] == 1
    rotate(service.vault, service.clock(), CERTIFICATES)
    assert told.notify()["number"] == 2
    moment = instant(service.clock())
    acknowledged = {"recipient_id": told.made.recipient, "channel": "paper", "acknowledged": moment}
    assert told.do("acknowledge_erasure", acknowledged)["number"] == 3
    report = told.do("report_paper_destruction", {"method": "shredding", "documents": 12, "destroyed": moment})
    confirmation = {"report_id": report["report_id"]}
    assert told.do("confirm_paper_destruction", confirmation, SECOND_OFFICER)["number"] == 4
    shown = told.certificate()
    said = [payload(s["jws"]) for s in shown["supplements"]]

    assert service.log.fenced([told.subject_id]) != {}
    assert [s["number"] for s in shown["supplements"]] == [1, 2, 3, 4]
    assert [s["fact"] for s in said] == [
        "RecipientNotifiedOfErasure",
        "RecipientNotifiedOfErasure",
        "RecipientAcknowledgedErasure",
        "PaperRecordsDestroyed",
    ]
    assert {s["certificate_sha256"] for s in said} == {hashlib.sha256(certificate.encode()).hexdigest()}
    assert said[3]["data"]["documents"] == 12
    [recipient] = shown["recipients"]
    assert recipient["acknowledged"] == moment
    assert told.against_log([shown["jws"], *(s["jws"] for s in shown["supplements"])]) == []


def test_a_repeated_call_under_one_key_makes_one_supplement(service: Service, told: Told) -> None:
    body = {"recipient_id": told.made.recipient, "channel": "email", "sent": instant(service.clock())}
    key = str(uuid4())
    answers = [told.made.do(OFFICER, "notify_recipient", body, key, **told.ids) for _ in range(2)]

    assert answers[0] == answers[1]
    assert len(told.certificate()["supplements"]) == 1


def test_nothing_sealed_slips_in_after_the_fence(service: Service, told: Told) -> None:
    """Neither in a body, nor under an old scope, nor under one that was never used, nor past the vault."""
    with pytest.raises(InvalidInput):
        told.notify(note="Ada's new address")
    work = UnitOfWork(service.resources, service._system_context())
    subject = work.load(Subject, told.subject_id)
    for category in ("identity", "correspondence"):
        scope = KeyScope(told.subject_id, category, None, 1)
        with pytest.raises(Fenced):
            work.seal(subject.id, RecipientNotifiedOfErasure, uuid4(), "note", scope, {"text": "x"})
    [scope_id, *_] = [row.scope_id for row in service.vault.scopes_of(told.subject_id)]
    shown = told.certificate()
    for used in (told.subject_id, scope_id):
        late = UnitOfWork(service.resources, service._system_context())
        late._uses.add(used)
        late.load(Subject, told.subject_id).sign(
            late.context, uuid4(), told.request_id, UUID(shown["certificate_id"]), "k" * 43, shown["jws"]
        )
        with pytest.raises(Fenced):
            late.append()


def test_keys_out_of_reach_append_nothing_and_the_next_try_certifies(
    service: Service, keyring: KeyringLocation, tmp_path: Path
) -> None:
    told, folder = Told(service), files_of(keyring)
    before = told.types()
    away = folder.rename(tmp_path / "away")
    try:
        with pytest.raises(KeysUnavailable):
            told.certify()
    finally:
        away.rename(folder)
    assert told.types() == before
    told.certify()

    assert told.types()[len(before) :] == ["ErasureCertified", "RecipientNotificationScheduled", "CertificateSigned"]


def test_certified_by_several_at_once_there_is_one_certificate(service: Service) -> None:
    told = Told(service)
    start = threading.Barrier(4)

    def certify(_: int) -> None:
        start.wait()
        try:
            told.certify()
        except RetriableError:
            told.certify()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(certify, range(4)))

    assert [told.types().count(t) for t in ("ErasureCertified", "CertificateSigned")] == [1, 1]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_append_and_repeated_there_is_one_certificate(
    service: Service, events_dsn: str, keys_dsn: str, keyring: KeyringLocation, when: str
) -> None:
    told, where = Told(service), [events_dsn, keys_dsn, str(keyring)]
    program = Path(__file__).with_name("certify_killed.py")
    arguments = [sys.executable, str(program), when, *where, told.made.subject, told.request]
    killed = subprocess.run(arguments, capture_output=True, cwd=Path(__file__).parents[3], timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert told.types().count("ErasureCertified") == (1 if when == "after" else 0)
    told.certify()
    told.certify()

    assert [told.types().count(t) for t in ("ErasureCertified", "CertificateSigned")] == [1, 1]
    assert told.against_log([told.certificate()["jws"]]) == []


def test_what_the_log_does_not_bear_out_is_named(service: Service, told: Told) -> None:
    """Whoever has the signing key can sign what never was: the log knows better."""
    real = told.certificate()["jws"]
    said = payload(real)
    earlier = instant(datetime.fromisoformat(said["fenced_at"]) - timedelta(days=400))
    forged = {
        "fenced_at": {"fenced_at": earlier},
        "views": {"views": {"people": 1}},
        "fingerprints": {"fingerprints": ["ab" * 16]},
    }
    for field, change in forged.items():
        line = signed_documents.sign({**said, **change}, current_key(service.vault, service.clock(), CERTIFICATES))
        failures = told.against_log([line])
        assert failures[:2] == [
            "certificate: the log has not this document at its number",
            f"certificate: {field} is not what the log says",
        ]
    elsewhere = Told(service)
    elsewhere.certify()
    mixed = {**said, "events": payload(elsewhere.certificate()["jws"])["events"]}
    line = signed_documents.sign(mixed, current_key(service.vault, service.clock(), CERTIFICATES))
    assert "certificate: the log has no event ErasureFenced with the id it names" in told.against_log([line])


def test_a_fence_that_is_gone_and_something_sealed_after_it_are_named(service: Service, told: Told) -> None:
    line = told.certificate()["jws"]
    said, _ = check([line], published(service))
    records = [Record.parse(r.position, r.record) for r in service.log.read_stream(told.subject_id)]
    registered = records[0]
    late = {**registered.envelope, "event_id": str(uuid4())}
    after = Record(records[-1].position + 1, late)
    everything = [told.subject_id, *(UUID(scope["scope_id"]) for scope in said[0]["scopes"])]

    assert check_against_log([line], said, records, everything[1:]) == [
        "certificate: the log does not fence all that it says is erased"
    ]
    assert check_against_log([line], said, [*records, after], everything) == [
        "certificate: the log has something sealed to an erased scope after the fence"
    ]


def test_what_was_certified_before_certificates_were_signed_is_shown_and_not_supplemented(service: Service) -> None:
    """The log of an earlier version: the event that certifies, and no document."""
    told = Told(service)
    work = UnitOfWork(service.resources, service._system_context())
    work.load(Subject, told.subject_id).certify_erasure(work.context, uuid4(), told.request_id, {"people": 9})
    work.append()
    shown = told.certificate()

    assert (shown["jws"], shown["supplements"], shown["recipients"]) == (None, [], [])
    assert {scope["category"] for scope in shown["scopes"]} == {"identity", "medical", "insurance"}
    with pytest.raises(RuleRefused) as refusal:
        told.notify()
    assert refusal.value.rule.slug == "certificate-pending"


def test_two_runs_have_two_signed_certificates_and_each_is_borne_out_by_the_log(service: Service) -> None:
    """A hold keeps the medical data at first; word to the recipient supplements the certificate that owes it."""
    told = Told(service, held="medical")
    told.certify()
    first, made = told.certificate(), told.made
    made.do(OFFICER, "release_hold", {}, subject_id=made.subject, hold_id=told.hold)
    told.run()
    answers = [told.notify(), told.notify()]
    second = told.certificate()
    [earlier] = second["preceding"]

    assert (earlier["jws"], earlier["certificate_id"]) == (first["jws"], first["certificate_id"])
    assert [a["certificate_id"] for a in answers] == [first["certificate_id"], second["certificate_id"]]
    assert [a["number"] for a in answers] == [1, 1]
    assert {scope["category"] for scope in payload(first["jws"])["scopes"]} == {"identity", "insurance"}
    assert {scope["category"] for scope in payload(second["jws"])["scopes"]} == {"medical"}
    for shown in (earlier, second):
        lines = [shown["jws"], *(s["jws"] for s in shown["supplements"])]
        assert len(lines) == 2
        assert told.against_log(lines) == []
        assert [r["recipient_id"] for r in shown["recipients"]] == [made.recipient]
    assert told.types().count("ErasureDrained") == 2
