"""What a browser or proxy keeps: no answer with personal data is stored, and no address carries any."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_world import World
from flask import Flask, Response
from page_forms import forms

from api import pages
from api.pages import TEMPLATES
from application.examples import BODIES

KEPT = {"static"}
"""Endpoints whose answers may be kept: the style sheet and the icon, the same for everybody."""
PARAMETERS = re.compile(r"parameters\(([^)]*)\)")
"""Where a page says which parameters its query has."""
CLOSED = ("enum", "format", "minimum", "maximum")


def rules(world: World) -> Iterator[tuple[str, str]]:
    """Yield method and path of everything the application answers, with ids of nobody in the paths."""
    for rule in world.app.url_map.iter_rules():
        if rule.endpoint in KEPT:
            continue
        path = re.sub(r"<uuid:\w+>", "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11", rule.rule)
        path = re.sub(r"<\w+>|<string:\w+>", "1", path)
        assert "<" not in path, f"how to fill in {rule.rule}?"
        yield from ((method, path) for method in sorted((rule.methods or set()) - {"OPTIONS"}))


def unkept(answer: Any) -> bool:
    """Tell whether the answer's headers keep it from being stored, and its address from being told to others."""
    return answer.headers.get("Cache-Control") == "no-store" and answer.headers.get("Referrer-Policy") == "no-referrer"


@pytest.fixture(scope="module")
def signed_in(world: World) -> Any:
    """A browser with a session of a case manager."""
    return session(world, "case_manager")


def session(world: World, person: str) -> Any:
    browser = world.app.test_client()
    form = re.search(r'name="form" value="([0-9a-f]{64})"', browser.get("/signin").text)
    assert form is not None
    browser.post("/signin", data={"form": form[1], "as": person})
    return browser


def test_no_answer_is_stored_whoever_asks_and_whatever_comes_of_it(world: World, signed_in: Any) -> None:
    tokens = (("privacy_officer", "rights"), ("case_manager", "casework"))
    bearers = [{"Authorization": f"Bearer {world.token(*who)}"} for who in tokens]
    askers = [(world.app.test_client(), {}), *((signed_in, headers) for headers in ({}, *bearers))]
    stored, statuses = [], set()
    for method, path in rules(world):
        for client, headers in askers if path != "/signout" else askers[:1]:
            for accept in ("application/json", "text/html"):
                body = {"json": {}} if method == "POST" else {}
                answer = client.open(path, method=method, headers={**headers, "Accept": accept}, **body)
                statuses.add(answer.status_code)
                if not unkept(answer):
                    stored.append((method, path, answer.status_code))

    assert stored == []
    assert {200, 401, 403, 404, 422} <= statuses, "the answers were of many kinds"


def test_nor_is_an_answer_with_a_person_in_it(world: World, signed_in: Any, marker: str) -> None:
    subject, case = world.registered(given_name=marker)
    position = world.people.manager.post(f"/v1/cases/{case}/notes", {"text": marker}).json["receipt"]["position"]
    answers = [
        world.people.manager.get(f"/v1/cases/{case}?after={position}"),
        signed_in.get(f"/cases/{case}", headers={"Accept": "text/html"}),
        world.people.officer.get(f"/v1/subjects/{subject}?after={position}"),
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(marker in answer.text for answer in answers[:2])
    assert all(unkept(answer) for answer in answers)


def test_flask_by_itself_lets_answers_be_stored() -> None:
    app = Flask("plain")
    app.add_url_rule("/", view_func=lambda: Response("somebody"))

    assert not unkept(app.test_client().get("/"))


def test_no_address_has_a_place_for_a_persons_data(world: World, signed_in: Any) -> None:
    """In paths there are ids alone; in queries words of closed lists, numbers, ids, positions and opaque cursors."""
    document = world.app.test_client().get("/openapi.json").json
    open_to_text = []
    for path, methods in document["paths"].items():
        for operation in (o for o in methods.values() if isinstance(o, dict)):
            for parameter in [*operation.get("parameters", ()), *methods.get("parameters", ())]:
                parameter = resolved(document, parameter)
                shape = parameter["schema"]
                if parameter["in"] in ("path", "query") and not any(word in shape for word in CLOSED):
                    open_to_text.append((path, parameter["name"], shape))

    named = {name for _, name, _ in open_to_text}
    assert named <= NOT_A_PERSONS, open_to_text
    # The pages are in no such document.
    calls = [call for file in Path(pages.__file__).parent.glob("*.py") for call in PARAMETERS.findall(file.read_text())]
    taken = {name for call in calls for name in re.findall(r'"(\w+)"', call)}
    # A word of a list, and the id of a certificate: anything else is refused.
    assert taken - NOT_A_PERSONS == {"state", "certificate"}
    assert signed_in.get("/?state=Ada+Lovelace").status_code == 400


def test_no_form_of_a_page_puts_what_is_typed_into_an_address(world: World, signed_in: Any) -> None:
    """In templates as they are written, and in every page as those who may see it are shown it."""
    written = {file.name: file.read_text() for file in Path(TEMPLATES).glob("*.html")}
    subject, case = world.registered()
    request = world.people.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    world.views.wait_for("requests", world.log.head(), 10)
    world.views.wait_for("case_page", world.log.head(), 10)
    shown: dict[str, str] = {}
    for browser in (world.app.test_client(), signed_in, session(world, "regulator"), session(world, "privacy_officer")):
        for path in ("/", "/signin", "/docs", "/nowhere", f"/cases/{case}", f"/requests/{request}/certificate"):
            answer = browser.get(path, headers={"Accept": "text/html"})
            shown[f"{len(shown)} {path} {answer.status_code}"] = answer.text

    both = {**written, **shown}
    in_addresses = {name: [form.puts_into_address for form in forms(html)] for name, html in both.items()}
    assert {name: fields for name, fields in in_addresses.items() if any(fields)} == {}
    typed = {field for html in shown.values() for form in forms(html) for field in form.typed}
    assert typed == {"token", "case_id"}, "every form was shown"
    assert {"entrance.html", "signin.html"} <= written.keys()


@pytest.mark.parametrize(
    "html",
    [
        '<form><input name="who"></form>',
        '<form method="GET" action="/"><input type="search" name="who"></form>',
        '<form method="get"><textarea name="who"></textarea></form>',
        '<form method="post"><input type="date" name="who"><button formmethod="get">Go</button></form>',
        '<form method="get" id="f"></form><input name="who" form="f">',
    ],
)
def test_a_form_that_does_is_found(html: str) -> None:
    assert [form.puts_into_address for form in forms(html) if form.puts_into_address] == [["who"]]


NOT_A_PERSONS = {"cursor", "after", "limit", "assignee", "version"}
"""Parameters of free form that hold nothing of a person: places in lists, positions, staff, policy versions."""


def resolved(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in parameter:
        return parameter
    found: Any = document
    for part in parameter["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def test_a_place_in_a_list_names_nobody(world: World, marker: str) -> None:
    for _ in range(2):
        _, case = world.registered(given_name=marker, family_name=marker)
    position = world.people.manager.post(f"/v1/cases/{case}/notes", {"text": marker}).json["receipt"]["position"]
    cursor = world.people.manager.get(f"/v1/cases?limit=1&after={position}").json["next"]

    decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert marker not in cursor
    assert marker.encode() not in decoded


def test_links_of_the_pages_name_nobody(world: World, signed_in: Any, marker: str) -> None:
    _, case = world.registered(given_name=marker, family_name=marker)
    position = world.people.manager.post(f"/v1/cases/{case}/notes", {"text": marker}).json["receipt"]["position"]
    world.people.manager.get(f"/v1/cases/{case}?after={position}")
    world.people.manager.get(f"/v1/cases?after={position}")
    pages = [signed_in.get(path, headers={"Accept": "text/html"}).text for path in ("/", f"/cases/{case}", "/docs")]
    links = {link for page in pages for link in re.findall(r'(?:href|src|action)="([^"]+)"', page)}

    assert marker in "".join(pages), "they show the person"
    assert any(case in link for link in links)
    assert [link for link in links if marker in link] == []
