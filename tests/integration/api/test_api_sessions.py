"""Signing in to the pages, and what the pages refuse; how they look is for the browser test."""

import re

import pytest

from domain.errors import KeysUnavailable


@pytest.fixture
def browser(world):
    return world.app.test_client()


def hidden(html: str) -> str:
    return re.search(r'name="form" value="([0-9a-f]{64})"', html)[1]


def signed_in(world, token=None, **data):
    browser = world.app.test_client()
    form = hidden(browser.get("/signin").text)
    fields = {"token": token} if token else data
    answer = browser.post("/signin", data={"form": form, **fields})
    return browser, answer


def as_browser(client, path):
    return client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})


def test_a_pasted_token_starts_a_session_scripts_cannot_reach(world):
    browser, answer = signed_in(world, world.token("case_manager", "casework"))
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("casekeeper_session="))
    page = browser.get("/")

    assert (answer.status_code, answer.location) == (303, "/")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert page.status_code == 200
    assert "Worklist" in page.text


def test_in_development_one_signs_in_as_a_person_of_each_role(world):
    for role, shown in (("case_manager", "Worklist"), ("privacy_officer", "Worklist"), ("regulator", "Open a case")):
        browser, answer = signed_in(world, **{"as": role})
        assert answer.status_code == 303
        assert f"<h1>{shown}</h1>" in browser.get("/").text


@pytest.mark.parametrize("token", ["", "Zq7Marker", "a.b.c"])
def test_a_bad_token_is_not_shown_again(world, token):
    _, answer = signed_in(world, token=token or " ")

    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "Zq7Marker" not in answer.text


def test_without_a_session_pages_send_to_sign_in(browser):
    for path in ("/", "/cases/0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"):
        answer = browser.get(path)
        assert (answer.status_code, answer.location) == (303, "/signin")


def test_a_session_is_no_token_for_the_api(world):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    assert browser.get("/v1/cases").status_code == 401


def test_signing_out_ends_the_session(world):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    answer = browser.post("/signout", data={"form": hidden(browser.get("/").text)})

    assert (answer.status_code, answer.location) == (303, "/signin")
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("path", ["/signin", "/signout"])
def test_a_form_from_elsewhere_is_refused(world, path):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    stolen = hidden(world.app.test_client().get("/signin").text)
    own = hidden(browser.get("/").text)
    answers = [
        browser.post(path, data={"as": "regulator"}),
        browser.post(path, data={"as": "regulator", "form": stolen}),
        browser.post(path, data={"as": "regulator", "form": own}, headers={"Sec-Fetch-Site": "cross-site"}),
        world.app.test_client().post(path, data={"as": "regulator", "form": own}),
    ]

    assert {(a.status_code, a.json["type"]) for a in answers} == {(403, "urn:casekeeper:problem:form-not-ours")}
    assert browser.get("/").status_code == 200


def test_a_regulator_opens_a_case_by_its_id_and_no_address_has_what_was_typed(world):
    browser, _ = signed_in(world, **{"as": "regulator"})
    form = hidden(browser.get("/").text)
    case = "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"

    opened = browser.post("/cases", data={"form": form, "case_id": f" {case.upper()} "})
    assert (opened.status_code, opened.location) == (303, f"/cases/{case}")
    for typed in ("Ada Zq7Marker", "", "MEMBER-7"):
        again = browser.post("/cases", data={"form": form, "case_id": typed})
        assert (again.status_code, again.location) == (400, None)
        assert 'role="alert"' in again.text
        assert not typed or typed not in again.text
    in_an_address = browser.get("/cases?case_id=Ada+Zq7Marker")
    assert in_an_address.status_code == 405
    assert "Zq7Marker" not in in_an_address.text


def test_the_form_that_opens_a_case_is_taken_from_our_own_page_and_from_somebody_signed_in(world):
    browser, _ = signed_in(world, **{"as": "regulator"})
    own = hidden(browser.get("/").text)
    case = "0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11"
    stolen = hidden(world.app.test_client().get("/signin").text)
    answers = [
        browser.post("/cases", data={"case_id": case}),
        browser.post("/cases", data={"case_id": case, "form": stolen}),
        browser.post("/cases", data={"case_id": case, "form": own}, headers={"Sec-Fetch-Site": "cross-site"}),
    ]

    assert {(a.status_code, a.json["type"]) for a in answers} == {(403, "urn:casekeeper:problem:form-not-ours")}
    stranger = world.app.test_client().post("/cases", data={"case_id": case, "form": own})
    assert (stranger.status_code, stranger.location) == (303, "/signin")
    assert browser.post("/cases", data={"form": own, "case_id": "x" * 16 * 1024}).status_code == 413


def test_pages_may_load_nothing_from_elsewhere_and_run_no_script(world):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    for path in ("/", "/signin", "/docs"):
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")


def test_keys_that_are_away_are_an_outage_and_never_an_erasure(world, monkeypatch):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    _, case = world.registered()
    world.views.wait_for("case_page", world.log.head(), 10)

    def down(*_args, **_more):
        raise KeysUnavailable("x")

    monkeypatch.setattr(world.service.vault, "open_many", down)
    page = as_browser(browser, f"/cases/{case}")

    assert page.status_code == 503
    assert "The keys cannot be reached" in page.text
    assert "Nothing was erased" in page.text
    assert "destroyed" not in page.text
    assert int(page.headers["Retry-After"]) >= 1


def test_a_page_that_does_not_exist_is_a_page_for_browsers_and_a_problem_for_programs(world, browser):
    page, problem = as_browser(browser, "/Zq7Marker"), browser.get("/Zq7Marker")

    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert (problem.status_code, problem.mimetype) == (404, "application/problem+json")
    assert "Zq7Marker" not in page.text + problem.text


def test_counts_click_through_to_what_they_count(world):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    _, case = world.registered(family_name="Counted")
    assigned = world.people.manager.post(f"/v1/cases/{case}/assignments", {"assignee": "a1"})
    world.views.wait_for("worklist", assigned.json["receipt"]["position"], 10)
    page = browser.get("/").text
    href, count = re.search(r'href="(/\?[^"]+)"[^>]*><b>([\d,]+)</b> My open cases', page).groups()
    listed = browser.get(href.replace("&amp;", "&")).text

    assert int(count) == len(re.findall(r'<th scope="row"', listed)) > 0
    assert "Counted, Ada" in listed


def test_values_are_escaped(world):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    _, case = world.registered(given_name="<script>alert(1)</script>")
    noted = world.people.manager.post(f"/v1/cases/{case}/notes", {"text": "<img src=x onerror=alert(1)>"})
    world.views.wait_for("case_page", noted.json["receipt"]["position"], 10)
    page = browser.get(f"/cases/{case}").text

    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


@pytest.mark.parametrize("typed", ["%00", "Ann%20Zq7Marker", "", "a" * 65])
def test_an_assignee_that_is_no_identifier_is_refused_as_over_the_api(world, typed):
    browser, _ = signed_in(world, **{"as": "case_manager"})
    page = as_browser(browser, f"/?assignee={typed}")

    assert (page.status_code, page.mimetype) == (400, "text/html")
    assert "Zq7Marker" not in page.text
    over_the_api = world.people.manager.get(f"/v1/cases?assignee={typed}")
    assert [error["field"] for error in over_the_api.json["errors"]] == ["assignee"]
    assert as_browser(browser, "/?assignee=a1").status_code == 200
