"""Finding people over HTTP: who is found, who never is, what is recorded, and that nothing asked for is said again."""

from __future__ import annotations

import base64
import io
import json
import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
import structlog
from api_shapes import Documented
from api_world import Caller

from api.app import create_app
from application.caller import Caller as ServiceCaller
from application.examples import BODIES
from application.logging import configure
from application.wiring import build_saga
from domain.errors import KeysUnavailable
from domain.rights import DueErasure

SEARCH = "/v1/subjects/search"
MARK = "Zq7Marker"


@pytest.fixture(scope="module")
def spec(world):
    return Documented(world.app.test_client())


@pytest.fixture
def name() -> str:
    """A family name that nobody else has."""
    return "Xu" + "".join(secrets.choice("abcdefghijklmnop") for _ in range(16))


@pytest.fixture
def search(world, spec) -> Callable[..., Any]:
    """Give ``search(**asked)``, by a case manager, after everything that is recorded was taken in."""

    def ask(query: str = "", **asked: Any) -> Any:
        path = f"{SEARCH}?after={world.log.head()}{query}"
        return spec.check(world.people.manager.post(path, asked), "POST", SEARCH)

    return ask


def registered(world, **identity: Any) -> tuple[str, str]:
    """Register a person with a date of birth and open a case; return their ids."""
    return world.registered(**{"birth_date": "1970-02-03", **identity})


def ids(answer: Any) -> list[str]:
    return [item["id"] for item in answer["items"]]


def reads_since(world, head: int) -> list[dict[str, Any]]:
    found = [json.loads(stored.record) for stored in world.log.read_from(head + 1, 100)]
    return [record for record in found if record["type"] == "AccessRecorded"]


def test_a_person_is_found_whatever_the_spelling(world, search, name):
    identity = {"given_name": "Zo\u00eb", "family_name": f"O\u2019{name}", "email": f"{name}@b\u00fccher.example"}
    subject, _ = registered(world, **identity)

    for asked in (
        {"given_name": "zoe", "family_name": f"O'{name.upper()}"},
        {"given_name": "ZOE\u0308", "family_name": f"o {name}"},
        {"email": f"{name.upper()}@xn--bcher-kva.example"},
        {"family_name": f"o{name}", "birth_date": "1970-02-03", "phone": "1 555 0100", "email": identity["email"]},
    ):
        assert search(**asked) == {
            "items": [
                {
                    "id": subject,
                    "registered_at": world.people.manager.get(f"/v1/subjects/{subject}").json["registered_at"],
                    "identity": {
                        "given_name": "Zo\u00eb",
                        "family_name": f"O\u2019{name}",
                        "birth_date": "1970-02-03",
                    },
                }
            ],
            "next": None,
        }


def test_everything_given_must_match(world, search, name):
    registered(world, family_name=name)

    assert ids(search(family_name=name, birth_date="1970-02-04")) == []
    assert ids(search(family_name=name, email="ada@example.net")) == []
    assert ids(search(family_name=name[:-1], birth_date="1970-02-03")) == []
    assert len(ids(search(family_name=name, birth_date="1970-02-03"))) == 1


def test_two_people_of_one_name_are_told_apart_by_their_dates_of_birth(world, search, name):
    older, _ = registered(world, family_name=name, birth_date="1950-01-01")
    younger, _ = registered(world, family_name=name, birth_date="1990-01-01")
    found = search(family_name=name, given_name="Ada")

    assert [(item["id"], item["identity"]["birth_date"]) for item in found["items"]] == [
        (younger, "1990-01-01"),
        (older, "1950-01-01"),
    ]


def test_a_person_is_found_by_the_number_an_insurer_knows_them_under(world, search, name):
    subject, case = registered(world, family_name=name)
    body = json.loads(json.dumps(BODIES["submit_intake"]))
    body["answers"]["insurance"] = {"insurer": "Example Mutual", "member_number": f"{name}-77"}
    world.people.intake.post(f"/v1/cases/{case}/intakes", body)

    assert ids(search(record_number=f"{name.upper()} 77")) == [subject]
    assert ids(search(record_number=f"{name}77", family_name=name)) == [subject]
    assert ids(search(record_number=f"{name}78")) == []


def test_the_list_pages_through_everybody_once(world, search, name):
    people = [registered(world, family_name=name)[0] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = search(f"&limit=2{cursor}", family_name=name, given_name="Ada")
        seen.append(ids(page))
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert seen == [people[:2:-1], people[2:0:-1], people[:1]]


def test_an_officer_may_search_too_and_nobody_else(world, name):
    asked = {"family_name": name, "given_name": "Ada"}
    p = world.people

    assert p.officer.post(SEARCH, asked).status_code == 200
    for caller in (p.intake, p.person, p.regulator):
        answer = caller.post(SEARCH, asked)
        assert (answer.status_code, answer.json["type"]) == (403, "urn:casekeeper:problem:not-allowed")


def test_a_search_is_recorded_with_who_was_found_and_nothing_of_what_was_asked(world, search, name):
    subject, _ = registered(world, family_name=name)
    before = world.log.head()
    search(family_name=name, birth_date="1970-02-03")
    search(family_name=name, birth_date="1971-02-03")
    found, none = reads_since(world, before)

    assert (found["data"]["resource"], found["subject_ids"], found["data"]["fields_opened"]) == ("search", [subject], 1)
    assert (none["data"]["resource"], none["subject_ids"], none["data"]["fields_opened"]) == ("search", [], 0)
    assert name.lower() not in json.dumps([found, none]).lower()
    assert "1970-02-03" not in json.dumps([found, none])


def test_a_stranger_who_shares_a_tag_is_neither_shown_nor_recorded(world, search, name):
    subject, _ = registered(world, family_name=name)
    stranger, _ = registered(world, family_name=f"{name}x")
    search(family_name=name, given_name="Ada")
    with psycopg2.connect(world.settings.views_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO view_search_index_tags (epoch, field, tag, source_id, subject_id) "
            "SELECT epoch, field, tag, %(stranger)s, %(stranger)s FROM view_search_index_tags "
            "WHERE source_id = %(subject)s AND field = 'family_name'",
            {"stranger": stranger, "subject": subject},
        )
        assert cursor.rowcount == 1
    connection.close()
    before = world.log.head()
    whole, page = search(family_name=name, given_name="Ada"), search("&limit=1", family_name=name, given_name="Ada")

    assert (ids(whole), ids(page), page["next"]) == ([subject], [subject], None)
    assert {tuple(record["subject_ids"]) for record in reads_since(world, before)} == {(subject,)}


def previewed(world, subject: str) -> tuple[str, str]:
    """Have a person ask for erasure, up to its preview; return the ids of request and preview."""
    p = world.people
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    p.officer.post(f"/v1/requests/{request}/verification", BODIES["verify_requester"])
    return request, p.officer.get(f"/v1/requests/{request}/preview").json["preview_id"]


def test_who_is_fenced_is_not_found_though_the_view_has_them_still_and_no_cursor_tells_of_them(world, search, name):
    people = [registered(world, family_name=name)[0] for _ in range(3)]
    asked = {"family_name": name, "given_name": "Ada"}
    assert ids(search(**asked)) == people[::-1]
    request, preview = previewed(world, people[1])
    with world.projector.paused():
        time.sleep(0.2)
        world.service.execute(
            "approve_erasure",
            ServiceCaller("casekeeper-dev", "p2", frozenset({"privacy_officer"}), "rights", "api", uuid4()),
            {"request_id": request, "subject_id": people[1]},
            {"preview_id": preview},
        )
        build_saga(world.service).fence(DueErasure(UUID(people[1]), UUID(request), uuid4()))
        pages, cursor = [], ""
        for _ in range(2):
            page = world.people.manager.post(f"{SEARCH}?limit=1{cursor}", asked).json
            pages.append(ids(page))
            assert people[1] not in base64.b64decode(page["next"] or "", altchars=b"-_").decode()
            cursor = f"&cursor={page['next']}"
        whole = world.people.manager.post(SEARCH, asked).json

    assert (pages, page["next"]) == ([[people[2]], [people[0]]], None)
    assert ids(whole) == [people[2], people[0]]


def test_who_is_erased_is_not_found_and_leaves_no_tag_and_the_certificate_gives_the_date(world, search, spec, name):
    erased, _ = registered(world, family_name=name)
    other, _ = registered(world, family_name=name)
    assert ids(search(family_name=name, given_name="Ada")) == [other, erased]
    request, preview = previewed(world, erased)
    world.people.other_officer.post(f"/v1/requests/{request}/approval", {"preview_id": preview})
    for _ in range(200):
        certificate = world.people.officer.get(f"/v1/requests/{request}/certificate")
        if certificate.status_code == 200:
            break
        time.sleep(0.1)
    shown = spec.check(certificate, "GET", "/v1/requests/{request_id}/certificate")
    found = search(family_name=name, given_name="Ada")
    with psycopg2.connect(world.settings.views_dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM view_search_index_tags WHERE subject_id = %s", (erased,))
        left = cursor.fetchone()
        cursor.execute("SELECT epoch FROM view_search_index_epochs WHERE state = 'current'")
        epoch = cursor.fetchone()[0]
    connection.close()

    assert ids(found) == [other]
    assert left == (0,)
    assert shown["views"]["search_index"] > 0
    # A day after the epoch's end.
    end = datetime.fromtimestamp((epoch + 1) * 86_400, UTC)
    assert shown["index_residue_until"] == f"{end:%Y-%m-%dT%H:%M:%S}.000000Z"
    assert any("index_residue_until" in line for line in shown["not_proven"])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "body"),
        ({"family_name": MARK}, "body"),
        ({"birth_date": "1970-02-03"}, "body"),
        ({"family_name": MARK, "given_name": None}, "given_name"),
        ({"family_name": MARK, "given_name": ""}, "given_name"),
        ({"family_name": MARK, "birth_date": MARK}, "birth_date"),
        ({"family_name": MARK, "birth_date": "2999-01-01"}, "birth_date"),
        ({"email": MARK}, "email"),
        ({"phone": MARK}, "phone"),
        ({"record_number": MARK * 12}, "record_number"),
        ({"record_number": ["x", MARK]}, "record_number"),
        ({"record_number": MARK, "address": MARK}, "address"),
        ({"record_number": MARK, f"{MARK}": MARK}, "(unnamed)"),
        ({"record_number": f"{MARK} 4111 1111 1111 1111"}, "record_number"),
        ({"record_number": f"{MARK}\u0000"}, "record_number"),
    ],
)
def test_what_is_too_little_or_does_not_fit_is_refused_by_field_and_not_repeated(world, asked, field):
    before = world.log.head()
    answer = world.people.manager.post(SEARCH, asked)

    assert (answer.status_code, answer.json["type"]) == (422, "urn:casekeeper:problem:invalid-input")
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert MARK not in answer.text + json.dumps(dict(answer.headers))
    assert world.log.head() == before


@pytest.mark.parametrize("query", ["limit=0", "limit=101", f"cursor={MARK}", f"email={MARK}", "after=99999999"])
def test_a_query_that_does_not_fit_is_refused(world, query):
    answer = world.people.manager.post(f"{SEARCH}?{query}", {"email": "ada@example.org"})

    assert (answer.status_code, answer.json["type"]) == (400, "urn:casekeeper:problem:invalid-query")
    assert MARK not in answer.text


def test_a_search_waits_for_the_position_it_names(world, name):
    impatient = create_app(world.settings, world.service, world.views, None, view_wait=0.2)
    manager = Caller(impatient, world.token("case_manager", "casework"))
    asked = {"family_name": name, "given_name": "Ada"}
    with world.projector.paused():
        time.sleep(0.2)
        subject, _ = registered(world, family_name=name)
        position = world.log.head()
        behind = manager.post(f"{SEARCH}?after={position}", asked)
    caught_up = world.people.manager.post(f"{SEARCH}?after={position}", asked)

    assert (behind.status_code, behind.json["type"]) == (503, "urn:casekeeper:problem:view-behind")
    assert ids(caught_up.json) == [subject]


def test_keys_that_are_away_are_an_outage(world, monkeypatch, name):
    registered(world, family_name=name)
    position = world.log.head()
    assert world.people.manager.post(f"{SEARCH}?after={position}", {"email": "a@example.org"}).status_code == 200

    def away(*_: Any) -> None:
        raise KeysUnavailable("x")

    for method in ("secret", "open_many"):
        with monkeypatch.context() as during:
            during.setattr(world.service.vault, method, away)
            answer = world.people.manager.post(SEARCH, {"family_name": name, "given_name": "Ada"})
        assert (answer.status_code, answer.json["type"]) == (503, "urn:casekeeper:problem:keys-unavailable")


def test_logs_and_metrics_say_nothing_of_what_was_asked(world, name):
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level, sys.excepthook, threading.excepthook
    configure(stream=stream)
    subject, _ = registered(world, family_name=name)
    try:
        found = world.people.manager.post(
            f"{SEARCH}?after={world.log.head()}", {"family_name": name, "given_name": "Ada"}
        )
        world.people.manager.post(SEARCH, {"family_name": name, "birth_date": MARK})
        metrics = world.app.test_client().get("/metrics").text
    finally:
        structlog.reset_defaults()
        root.handlers, root.level, sys.excepthook, threading.excepthook = before
    logged = stream.getvalue()

    assert ids(found.json) == [subject]
    assert f'"route": "{SEARCH}"' in logged
    assert f'route="{SEARCH}"' in metrics
    for text in (logged, metrics):
        assert name.lower() not in text.lower()
        assert MARK not in text
        assert subject not in text
