"""The pages in a real browser: at a telephone's width and a desk's, in both themes, loading nothing from elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from api_world import World, api_process
from playwright.sync_api import Browser, Page, sync_playwright

from application.examples import BODIES
from domain.instants import instant

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
TELEPHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}
NAMES = [
    ("Mara", "Lindqvist"),
    ("Tomás", "Arriaga-Fuentes"),
    ("Noor", "Haddad"),
    ("Ewan", "Macrae"),
    ("Iris", "Okonjo"),
]


@pytest.fixture(scope="module")
def world(pg_main, pg_keys, new_database, tmp_path_factory) -> Iterator[World]:
    made = World(
        new_database(pg_main, "pages_events"),
        new_database(pg_main, "pages_views"),
        new_database(pg_keys, "pages_keys"),
        tmp_path_factory.mktemp("pages-home"),
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def told(world) -> SimpleNamespace:
    """Some people's stories: one with everything on their case, one erased, and others to fill the worklist."""
    p, cases = world.people, []
    clinic = p.officer.post("/v1/agreements", BODIES["register_agreement"]).json["recipient_id"]
    insurer = _agreement(world, "Example Mutual Insurance Company", "insurer", ["insurance_claim"])
    for given, family in NAMES:
        subject, case = world.registered(given_name=given, family_name=family)
        cases.append((subject, case))
        p.intake.post(f"/v1/cases/{case}/intakes", BODIES["submit_intake"])
    (subject, case), (gone_subject, gone_case) = cases[0], cases[1]
    _work(world, subject, case, clinic, insurer)
    p.manager.post(f"/v1/cases/{gone_case}/notes", {"text": "Asked for the discharge letter."})
    _disclose(world, gone_subject, gone_case, clinic)
    gone_request = _erase(world, gone_subject)
    _supplement(world, gone_request, clinic)
    for view in ("worklist", "case_page", "consents", "disclosures"):
        world.views.wait_for(view, world.log.head(), 20)
    return SimpleNamespace(case=case, subject=subject, gone_case=gone_case, gone_request=gone_request, clinic=clinic)


def _agreement(world: World, name: str, kind: str, purposes: list[str]) -> str:
    body = {**BODIES["register_agreement"], "purposes": purposes}
    body["recipient"] = {"name": name, "kind": kind, "address": "3 Sample Street, Sampleton"}
    return world.people.officer.post("/v1/agreements", body).json["recipient_id"]


def _work(world: World, subject: str, case: str, clinic: str, insurer: str) -> None:
    p = world.people
    consents = f"/v1/subjects/{subject}/consents"
    treatment = p.person.post(consents, {**BODIES["grant_consent"], "recipient_ids": [clinic]}).json["id"]
    claim = {**BODIES["grant_consent"], "purpose": "insurance_claim", "categories": ["insurance"]}
    withdrawn = p.person.post(consents, {**claim, "recipient_ids": [insurer]}).json["id"]
    p.person.post(f"{consents}/{withdrawn}/withdrawal", {"reason": "I changed my insurer"})
    p.person.post(consents, {**BODIES["grant_consent"], "purpose": "legal", "recipient_ids": [clinic]})
    p.person.post(consents, {**BODIES["grant_consent"], "recipient_ids": [insurer], "decision": "asked"})
    p.manager.post(f"/v1/cases/{case}/assignments", {"assignee": "a1"})
    p.manager.post(f"/v1/cases/{case}/tasks", {"title": "Send the imaging to the clinic", "due": "2026-01-15"})
    done = p.manager.post(f"/v1/cases/{case}/tasks", BODIES["add_task"]).json["id"]
    p.manager.post(f"/v1/cases/{case}/tasks/{done}/completion")
    p.manager.post(f"/v1/cases/{case}/notes", {"text": "Asked the hospital for the imaging; they answer by Friday."})
    terms = {
        "case_id": case,
        "recipient_id": clinic,
        "purpose": "treatment",
        "categories": ["identity", "medical"],
        "basis": {"type": "consent", "id": treatment},
    }
    path = f"/v1/subjects/{subject}/disclosures"
    disclosure = p.manager.post(path, terms).json["id"]
    p.second.post(f"{path}/{disclosure}/authorization")
    p.manager.post(f"{path}/{disclosure}/release")
    p.manager.post(path, {**terms, "categories": ["identity"]})


def _disclose(world: World, subject: str, case: str, clinic: str) -> None:
    p = world.people
    granted = {**BODIES["grant_consent"], "recipient_ids": [clinic]}
    consent = p.person.post(f"/v1/subjects/{subject}/consents", granted).json["id"]
    terms = {
        "case_id": case,
        "recipient_id": clinic,
        "purpose": "treatment",
        "categories": ["identity"],
        "basis": {"type": "consent", "id": consent},
    }
    path = f"/v1/subjects/{subject}/disclosures"
    disclosure = p.manager.post(path, terms).json["id"]
    p.second.post(f"{path}/{disclosure}/authorization")
    assert p.manager.post(f"{path}/{disclosure}/release").status_code == 200


def _supplement(world: World, request: str, clinic: str) -> None:
    path, now = f"/v1/requests/{request}", instant(world.service.clock())
    sent = {"recipient_id": clinic, "channel": "paper", "sent": now}
    assert world.people.officer.post(f"{path}/notifications", sent).status_code == 201
    paper = {"method": "shredding", "documents": 3, "destroyed": now}
    report = world.people.officer.post(f"{path}/paper-destruction", paper).json["report_id"]
    confirmed = world.people.other_officer.post(f"{path}/paper-destruction/confirmation", {"report_id": report})
    assert confirmed.status_code == 201


def _erase(world: World, subject: str) -> str:
    p = world.people
    request = p.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    p.officer.post(f"/v1/requests/{request}/verification", BODIES["verify_requester"])
    preview = p.officer.get(f"/v1/requests/{request}/preview").json["preview_id"]
    p.other_officer.post(f"/v1/requests/{request}/approval", {"preview_id": preview})
    for _ in range(200):
        answer = p.officer.get(f"/v1/requests/{request}/certificate?after={world.log.head()}")
        if answer.status_code == 200:
            return request
    raise AssertionError(answer.json)


@pytest.fixture(scope="module")
def origin(world) -> Iterator[str]:
    with api_process(world) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


class Watched:
    """A page that notes every request and every message of the console."""

    def __init__(self, browser: Browser, origin: str, **context: Any) -> None:
        self.origin = origin
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def sign_in(self, role: str) -> Page:
        self.page.goto(f"{self.origin}/")
        self.follow("button", role)
        return self.page

    def follow(self, role: str, name: str) -> None:
        """Use a link or button and wait for the page it leads to."""
        with self.page.expect_navigation():
            self.page.get_by_role(role, name=name).click()

    def check(self) -> None:
        """Check what holds of every page: it fits the window, came from here, and nothing complained."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        outside = {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in self.requested} - {self.origin}
        assert wide <= 0, f"{wide} pixels too wide: {self.page.url}"
        assert outside == set()
        assert self.complaints == []
        assert self.page.locator("h1").count() == 1
        assert self.page.locator("main").count() == 1


@pytest.fixture
def watched(request, browser, origin) -> Iterator[Watched]:
    viewport = TELEPHONE if request.param == "telephone" else DESK
    scheme = "dark" if request.param.endswith("dark") else "light"
    made = Watched(browser, origin, viewport=viewport, color_scheme=scheme)
    made.name = request.param
    yield made
    made.context.close()


everywhere = pytest.mark.parametrize("watched", ["telephone", "desk", "desk-dark"], indirect=True)
both_widths = pytest.mark.parametrize("watched", ["telephone", "desk"], indirect=True)


def shoot(watched: Watched, name: str) -> None:
    """Keep a picture where CASEKEEPER_PICTURES says, for whoever wants to look."""
    if folder := os.environ.get("CASEKEEPER_PICTURES"):
        watched.page.screenshot(path=str(Path(folder) / f"{name}-{watched.name}.png"), full_page=name != "docs")


@everywhere
def test_sign_in_worklist_and_case(watched, told):
    watched.page.goto(f"{watched.origin}/signin")
    watched.check()
    shoot(watched, "signin")
    page = watched.sign_in("Case manager")
    watched.check()
    shoot(watched, "worklist")
    assert page.get_by_role("heading", level=1).inner_text() == "Worklist"
    watched.follow("link", "Lindqvist, Mara")
    watched.check()
    shoot(watched, "case")

    assert page.get_by_role("heading", level=1).inner_text() == "Lindqvist, Mara"
    assert page.url == f"{watched.origin}/cases/{told.case}"
    strip = page.locator("table.strip")
    assert strip.locator("td.allowed").count() == 1
    assert "the person withdrew it" in strip.inner_text()
    assert "no agreement in force for this purpose" in strip.inner_text()
    assert strip.locator("td.pending").count() == 1
    assert "A second opinion before an operation" in page.locator("main").inner_text()
    assert "overdue" in page.locator(".tasks").inner_text()
    assert "Released" in page.locator(".disclosures").inner_text()


@everywhere
def test_an_erased_person_has_a_look_of_their_own(watched, told):
    page = watched.sign_in("Case manager")
    page.goto(f"{watched.origin}/cases/{told.gone_case}")
    watched.check()
    shoot(watched, "erased")

    assert page.get_by_role("heading", level=1).inner_text() == "Person erased"
    blocks = page.locator(".erased")
    assert blocks.count() >= 4
    for text in blocks.all_inner_texts():
        assert "Content destroyed" in text
        assert "Certificate" in text
    assert "Arriaga" not in page.content()
    stripes = blocks.first.evaluate("element => getComputedStyle(element).backgroundImage")
    assert stripes.startswith("repeating-linear-gradient")


@everywhere
def test_the_certificate_is_reached_from_a_tombstone_and_says_what_is_not_proven(watched, told):
    page = watched.sign_in("Privacy officer")
    page.goto(f"{watched.origin}/cases/{told.gone_case}")
    with page.expect_navigation():
        page.locator(".erased a").first.click()
    watched.check()
    shoot(watched, "certificate")
    said = page.locator("main").inner_text()

    assert page.url.startswith(f"{watched.origin}/requests/{told.gone_request}/certificate?certificate=")
    assert page.get_by_role("heading", level=1).inner_text() == "Certificate of erasure"
    assert "a copy of the file keyring made while the key lived" in page.locator(".statements.not").inner_text()
    assert "Told" in page.locator("section:has(#recipients)").inner_text()
    assert told.clinic in said
    assert "3 documents, shredding" in said
    assert "Nothing was withheld." in said
    for personal in ("Arriaga", "Tomás", "Example Clinic", "discharge letter"):
        assert personal not in page.content()


def test_the_certificate_prints_without_the_bar_and_unbroken(browser, origin, told):
    watched = Watched(browser, origin, viewport=TELEPHONE)
    page = watched.sign_in("Regulator")
    page.goto(f"{origin}/requests/{told.gone_request}/certificate")
    page.emulate_media(media="print")
    bar = page.locator("header.bar").is_visible()
    shown = [page.locator(f"section:has(#{name})").is_visible() for name in ("destroyed", "not-proven", "evidence")]
    watched.check()
    pdf = page.pdf(format="A4")
    watched.context.close()

    assert not bar
    assert shown == [True, True, True]
    assert pdf.startswith(b"%PDF-")


@both_widths
def test_a_certificate_that_does_not_stand_is_a_page_that_says_so(watched, told, world):
    subject, _ = world.registered()
    request = world.people.person.post(f"/v1/subjects/{subject}/requests", BODIES["receive_request"]).json["id"]
    page = watched.sign_in("Privacy officer")
    page.goto(f"{watched.origin}/requests/{request}/certificate")
    pending = page.locator("main").inner_text()
    page.goto(f"{watched.origin}/certificates/00000000-0000-4000-8000-000000000000")

    assert "as soon as the keys are destroyed and every view has purged" in pending
    assert page.get_by_role("heading", level=1).inner_text() == "Not found"


@both_widths
def test_a_regulator_sees_facts_and_no_content(watched, told):
    page = watched.sign_in("Regulator")
    watched.check()
    page.get_by_label("Case id").fill(told.case)
    watched.follow("button", "Open")
    watched.check()
    shoot(watched, "masked")

    assert page.get_by_role("heading", level=1).inner_text() == "Person hidden"
    assert page.locator(".masked").count() >= 3
    assert "Lindqvist" not in page.content()
    assert "second opinion before an operation" not in page.content()


@both_widths
def test_the_api_page_and_failures(watched, told):
    page = watched.sign_in("Privacy officer")
    page.goto(f"{watched.origin}/docs")
    watched.check()
    shoot(watched, "docs")
    page.goto(f"{watched.origin}/cases/00000000-0000-4000-8000-000000000000")
    shoot(watched, "missing")

    assert page.get_by_role("heading", level=1).inner_text() == "Not found"
    assert all("404" in complaint for complaint in watched.complaints)


def test_everything_can_be_reached_by_keyboard(browser, origin, told):
    watched = Watched(browser, origin, viewport=DESK)
    page = watched.sign_in("Case manager")
    page.goto(f"{origin}/")
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    outlined = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    watched.context.close()

    assert first == "Skip to content"
    assert {"Lindqvist, Mara", "Sign out"} <= reached
    assert outlined != "none"


def test_signing_out_closes_the_pages(browser, origin):
    watched = Watched(browser, origin, viewport=DESK)
    page = watched.sign_in("Case manager")
    watched.follow("button", "Sign out")
    page.goto(f"{origin}/")
    url = page.url
    watched.context.close()

    assert url == f"{origin}/signin"
