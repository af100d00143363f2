"""Certificates over HTTP, and on the command line with the service and its databases out of reach."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from api_shapes import Documented
from api_world import environment
from test_api_sessions import signed_in

from application import signed_documents
from application.examples import BODIES
from application.signing_keys import CERTIFICATES, current_key, rotate
from domain.certificate_form import payload_of
from domain.instants import instant

REQUEST = "/v1/requests/{request_id}"


@pytest.fixture(scope="module")
def spec(world):
    return Documented(world.app.test_client())


@pytest.fixture(scope="module")
def erased(world):
    """A person erased after a disclosure."""
    p = world.people
    subject, case = world.registered()
    p.intake.post(f"/v1/cases/{case}/intakes", BODIES["submit_intake"])
    clinic = p.officer.post("/v1/agreements", BODIES["register_agreement"]).json["recipient_id"]
    granted = {**BODIES["grant_consent"], "recipient_ids": [clinic]}
    consent = p.person.post(f"/v1/subjects/{subject}/consents", granted).json["id"]
    terms = {**BODIES["request_disclosure"], "case_id": case, "recipient_id": clinic}
    path = f"/v1/subjects/{subject}/disclosures"
    disclosure = p.manager.post(path, {**terms, "basis": {"type": "consent", "id": consent}}).json["id"]
    p.second.post(f"{path}/{disclosure}/authorization")
    assert p.manager.post(f"{path}/{disclosure}/release").status_code == 200
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    at = f"/v1/requests/{request}"
    early = p.officer.post(f"{at}/notifications", _sent(world, clinic))
    p.officer.post(f"{at}/verification", BODIES["verify_requester"])
    preview = p.officer.get(f"{at}/preview").json["preview_id"]
    p.other_officer.post(f"{at}/approval", {"preview_id": preview})
    deadline = time.monotonic() + 20
    while p.officer.get(f"{at}/certificate").status_code != 200:
        assert time.monotonic() < deadline
    return SimpleNamespace(subject=subject, clinic=clinic, request=request, at=at, early=early)


def _sent(world, recipient):
    return {"recipient_id": recipient, "channel": "email", "sent": instant(world.service.clock())}


def test_nobody_is_told_before_it_is_certified(erased):
    assert (erased.early.status_code, erased.early.json["type"]) == (404, "urn:casekeeper:problem:certificate-pending")


def test_the_keys_are_published(world, spec):
    keys = spec.check(world.people.regulator.get("/v1/certificate-keys"), "GET", "/v1/certificate-keys")["keys"]

    assert all(key.keys() == {"kty", "crv", "x", "kid", "use", "alg"} for key in keys)
    assert {(key["kty"], key["crv"], key["alg"]) for key in keys} == {("OKP", "Ed25519", "EdDSA")}
    assert set(signed_documents.keys_of(json.dumps({"keys": keys}))) == {key["kid"] for key in keys}


def test_recipients_are_told_and_paper_is_destroyed_after_the_person_is_gone(world, spec, erased):
    p, sent = world.people, _sent(world, erased.clinic)
    late = p.manager.post(f"/v1/subjects/{erased.subject}/disclosures", BODIES["request_disclosure"])
    told = spec.check(p.officer.post(f"{erased.at}/notifications", sent), "POST", f"{REQUEST}/notifications")
    again = p.officer.post(f"{erased.at}/notifications", sent)
    answer = {"recipient_id": erased.clinic, "channel": "paper", "acknowledged": instant(world.service.clock())}
    acknowledged = p.officer.post(f"{erased.at}/acknowledgements", answer)
    spec.check(acknowledged, "POST", f"{REQUEST}/acknowledgements")
    paper = {"method": "shredding", "documents": 2, "destroyed": instant(world.service.clock())}
    reported = p.officer.post(f"{erased.at}/paper-destruction", paper)
    report = {"report_id": spec.check(reported, "POST", f"{REQUEST}/paper-destruction")["report_id"]}
    alone = p.officer.post(f"{erased.at}/paper-destruction/confirmation", report)
    confirmed = p.other_officer.post(f"{erased.at}/paper-destruction/confirmation", report)
    spec.check(confirmed, "POST", f"{REQUEST}/paper-destruction/confirmation")
    shown = spec.check(p.officer.get(f"{erased.at}/certificate"), "GET", f"{REQUEST}/certificate")

    assert late.status_code == 410
    assert told["certificate_id"] == shown["certificate_id"]
    assert (again.status_code, again.json["type"]) == (409, "urn:casekeeper:problem:recipient-already-told")
    assert (alone.status_code, alone.json["type"]) == (403, "urn:casekeeper:problem:second-witness-required")
    assert [s["number"] for s in shown["supplements"]] == [1, 2, 3]
    [recipient] = shown["recipients"]
    assert (recipient["recipient_id"], recipient["acknowledged"] is not None) == (erased.clinic, True)


@pytest.mark.parametrize(
    ("step", "body", "field"),
    [
        ("notifications", {"note": "Ada moved"}, "note"),
        ("notifications", {"channel": "her sister"}, "channel"),
        ("notifications", {"sent": "yesterday"}, "sent"),
        ("notifications", {"delivery": "perhaps"}, "delivery"),
        ("acknowledgements", {"acknowledged": None}, "acknowledged"),
        ("paper-destruction", {"documents": 0}, "documents"),
        ("paper-destruction", {"documents": True}, "documents"),
        ("paper-destruction", {"documents": 1.5}, "documents"),
        ("paper-destruction", {"method": "burnt in the yard"}, "method"),
        ("paper-destruction/confirmation", {"report_id": "the first"}, "report_id"),
    ],
)
def test_a_body_that_does_not_fit_is_422_and_not_shown_again(world, erased, step, body, field):
    operation = {
        "notifications": "notify_recipient",
        "acknowledgements": "acknowledge_erasure",
        "paper-destruction": "report_paper_destruction",
        "paper-destruction/confirmation": "confirm_paper_destruction",
    }[step]
    answer = world.people.officer.post(f"{erased.at}/{step}", {**BODIES[operation], **body})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert not any(isinstance(v, str) and v in answer.text for v in body.values())


# -- the command line ------------------------------------------------------------------------------------------------


def casekeeper(*arguments, **settings):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CASEKEEPER_")}
    command = [sys.executable, "-m", "cli.main", "keys", "certificate", *map(str, arguments)]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        command, env={**kept, **settings}, capture_output=True, text=True, check=False, timeout=60, cwd=root
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def reached(world):
    """Settings of the stores; no API and no worker of this installation runs as a process."""
    return {name: value for name, value in environment(world).items() if name.startswith("CASEKEEPER_")}


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory):
    """Settings under which nothing answers."""
    nowhere = "host=127.0.0.1 port=1 dbname=none connect_timeout=1"
    return {
        "CASEKEEPER_HOME": str(tmp_path_factory.mktemp("nothing")),
        **{f"CASEKEEPER_{store}_DSN": nowhere for store in ("EVENTS", "VIEWS", "KEYS")},
        "CASEKEEPER_KAFKA": "127.0.0.1:1",
    }


@pytest.fixture(scope="module")
def files(world, erased, reached, tmp_path_factory):
    """A certificate with one supplement at least, and the keys, as the command line writes them."""
    folder = tmp_path_factory.mktemp("certificate")
    world.people.officer.post(f"{erased.at}/notifications", _sent(world, erased.clinic))
    made = SimpleNamespace(jws=folder / "erasure.jws", keys=folder / "keys.json")
    assert casekeeper(erased.request, "--out", made.jws, **reached) == (0, "", "")
    assert casekeeper("--public-key", "--out", made.keys, **reached) == (0, "", "")
    return made


def test_what_is_fetched_is_what_http_answers(world, erased, files, reached):
    shown = world.people.regulator.get(f"{erased.at}/certificate").json
    by_certificate = casekeeper(shown["certificate_id"], **reached)
    published = world.people.regulator.get("/v1/certificate-keys").json

    assert files.jws.read_text().split() == [shown["jws"], *(s["jws"] for s in shown["supplements"])]
    assert by_certificate == (0, files.jws.read_text(), "")
    assert json.loads(files.keys.read_text()) == published


def test_it_is_checked_with_nothing_running(files, unreachable):
    status, said, complaints = casekeeper("--verify", files.jws, "--key", files.keys, **unreachable)

    assert (status, complaints) == (0, "")
    assert " holds\n" in said
    assert "0 of 1 recipients still open" in said
    assert "not proven: a copy of the file keyring made while the key lived" in said


def test_the_certificate_alone_says_who_is_still_open(files, unreachable, tmp_path):
    alone = tmp_path / "alone.jws"
    alone.write_text(files.jws.read_text().split()[0])

    assert (
        "0 supplements; 1 of 1 recipients still open"
        in casekeeper("--verify", alone, "--key", files.keys, **unreachable)[1]
    )


def test_with_the_event_store_alone_the_log_bears_it_out(files, unreachable, reached, tmp_path):
    settings = {**unreachable, "CASEKEEPER_EVENTS_DSN": reached["CASEKEEPER_EVENTS_DSN"]}
    alone = tmp_path / "alone.jws"
    alone.write_text(files.jws.read_text().split()[0])
    status, said, complaints = casekeeper("--verify", files.jws, "--key", files.keys, "--log", **settings)
    fewer = casekeeper("--verify", alone, "--key", files.keys, "--log", **settings)
    without = casekeeper("--verify", files.jws, "--key", files.keys, "--log", **unreachable)

    assert (status, complaints) == (0, "")
    assert "the log bears it out" in said
    assert fewer[0] == 0
    assert "supplements more: fetch the certificate again" in fewer[1]
    assert (without[0], without[1]) == (1, "")
    assert without[2].startswith("Error: the event store cannot be reached (try again; ")


def test_each_failure_is_one_line_and_the_exit_status_tells(files, unreachable, tmp_path):
    certificate, supplement, *_ = files.jws.read_text().split()
    broken = tmp_path / "broken.jws"
    broken.write_text(f"{certificate[:-4]}AAAA\n{supplement[:-4]}AAAA\n")
    status, said, complaints = casekeeper("--verify", broken, "--key", files.keys, **unreachable)

    assert (status, said) == (1, "")
    assert [line.partition(": ")[0] for line in complaints.splitlines()] == ["certificate", "supplement 1"]
    broken.write_bytes(b"\xff\x00 no certificate")
    assert casekeeper("--verify", broken, "--key", files.keys, **unreachable)[0] == 1
    broken.write_text("")
    empty = casekeeper("--verify", broken, "--key", files.keys, **unreachable)
    assert empty == (1, "", "there is no signed document in the file\n")
    keys = casekeeper("--verify", files.jws, "--key", files.jws, **unreachable)
    assert keys == (1, "", "the key file is not JSON\n")


def test_a_forgery_by_whoever_has_the_key_meets_the_log(world, files, reached, tmp_path):
    said = {**payload_of(files.jws.read_text().split()[0]), "fingerprints": ["ab" * 16]}
    forged = tmp_path / "forged.jws"
    key = current_key(world.service.vault, world.service.clock(), CERTIFICATES)
    forged.write_text(signed_documents.sign(said, key))
    alone = casekeeper("--verify", forged, "--key", files.keys)
    status, _, complaints = casekeeper("--verify", forged, "--key", files.keys, "--log", **reached)

    assert alone[0] == 0
    assert status == 1
    assert complaints.splitlines() == [
        "certificate: the log has not this document at its number",
        "certificate: fingerprints is not what the log says",
    ]


def test_after_a_rotation_old_keys_check_old_certificates(world, files, reached, unreachable, tmp_path):
    rotate(world.service.vault, world.service.clock(), CERTIFICATES)
    newest = tmp_path / "newest.json"
    every = tmp_path / "every.json"
    casekeeper("--public-key", "--out", every, **reached)
    newest.write_text(json.dumps(json.loads(every.read_text())["keys"][0]))
    status, _, complaints = casekeeper("--verify", files.jws, "--key", newest, **unreachable)

    assert len(json.loads(every.read_text())["keys"]) == len(json.loads(files.keys.read_text())["keys"]) + 1
    assert casekeeper("--verify", files.jws, "--key", every, **unreachable)[0] == 0
    assert status == 1
    assert complaints.splitlines()[0] == "certificate: kid names a key that is not among those given"


def test_what_is_asked_for_wrongly_is_said(files, reached, unreachable):
    unknown = casekeeper(uuid4(), **reached)

    assert unknown == (1, "", "Error: no such signed certificate\n")
    for arguments in ((), (UUID(int=1), "--public-key"), ("--verify", files.jws), ("--public-key", "--log")):
        assert casekeeper(*arguments, **unreachable)[0] == 2


# -- an erasure that was held up in part and went on later -----------------------------------------------------------


@pytest.fixture(scope="module")
def twice(world):
    """A person erased in two runs, a hold having kept the medical data: the two certificates, the first one first."""
    p = world.people
    subject, case = world.registered()
    p.intake.post(f"/v1/cases/{case}/intakes", BODIES["submit_intake"])
    held = {**BODIES["place_hold"], "scope": {"categories": ["medical"], "case_ids": None}}
    hold = p.officer.post(f"/v1/subjects/{subject}/holds", held).json["id"]
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    at = f"/v1/requests/{request}"
    p.officer.post(f"{at}/verification", BODIES["verify_requester"])
    p.other_officer.post(f"{at}/approval", {"preview_id": p.officer.get(f"{at}/preview").json["preview_id"]})
    deadline = time.monotonic() + 60
    while p.officer.get(f"{at}/certificate").status_code != 200:
        assert time.monotonic() < deadline
    p.officer.post(f"/v1/subjects/{subject}/holds/{hold}/release")
    while not (shown := p.officer.get(f"{at}/certificate").json)["preceding"]:
        assert time.monotonic() < deadline
    return SimpleNamespace(request=request, first=shown["preceding"][0], second=shown)


def test_by_the_request_the_latest_certificate_is_fetched_and_the_earlier_one_is_named(twice, reached):
    by_request = casekeeper(twice.request, **reached)
    by_first, by_second = (casekeeper(each["certificate_id"], **reached) for each in (twice.first, twice.second))

    named = f"the request has an earlier certificate, too: {twice.first['certificate_id']}\n"
    assert by_request == (0, f"{twice.second['jws']}\n", named)
    assert by_first == (0, f"{twice.first['jws']}\n", "")
    assert by_second == (0, f"{twice.second['jws']}\n", "")


def test_each_of_the_two_is_checked_by_itself_and_the_log_bears_it_out(twice, reached, unreachable, tmp_path):
    keys = tmp_path / "keys.json"
    casekeeper("--public-key", "--out", keys, **reached)
    settings = {**unreachable, "CASEKEEPER_EVENTS_DSN": reached["CASEKEEPER_EVENTS_DSN"]}
    for number, each in enumerate((twice.first, twice.second)):
        one = tmp_path / f"{number}.jws"
        one.write_text(each["jws"])
        status, said, complaints = casekeeper("--verify", one, "--key", keys, "--log", **settings)
        assert (status, complaints) == (0, "")
        assert f"certificate {each['certificate_id']} of request {twice.request} holds" in said
        assert "the log bears it out" in said
        assert "supplements more" not in said


def test_each_of_the_two_has_its_page_and_they_name_each_other(world, twice):
    browser, _ = signed_in(world, world.token("privacy_officer", "rights"))
    first, second = twice.first["certificate_id"], twice.second["certificate_id"]
    page = f"/requests/{twice.request}/certificate"
    latest, by_link = browser.get(page), browser.get(f"/certificates/{first}")
    earlier, unknown = browser.get(by_link.location), browser.get(f"{page}?certificate={twice.request}")

    link = '<a href="{}?certificate={}">'
    assert by_link.location == f"{page}?certificate={first}"
    assert f"casekeeper keys certificate {second} " in latest.text
    assert f"casekeeper keys certificate {first} " in earlier.text
    assert link.format(page, first) in latest.text
    assert link.format(page, second) in earlier.text
    assert unknown.status_code == 404
