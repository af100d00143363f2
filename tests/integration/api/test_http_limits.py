"""Limits of rate and of waiting: what is refused, how, and what goes on meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest
from api_world import Caller

from api.admission import MOST_BODIES, MOST_SIGNINS, Busy, Places
from api.app import create_app
from api.body import MAX_FORM_BYTES
from application.examples import BODIES
from tests.callers import INTAKE_SERVICE


def made(world, view_wait=5.0, **settings):
    return create_app(replace(world.settings, **settings), world.service, world.views, None, view_wait=view_wait)


def statuses(call, times):
    return [call().status_code for _ in range(times)]


def check_rate_limited(response, policy):
    name = policy.partition(";")[0]
    assert response.status_code == 429
    assert response.mimetype == "application/problem+json"
    assert response.json["type"] == "urn:casekeeper:problem:rate-limited"
    wait = int(response.headers["Retry-After"])
    assert wait >= 1
    assert response.headers["RateLimit-Policy"] == policy
    assert response.headers["RateLimit"] == f"{name};r=0;t={wait}"


def test_a_caller_over_the_limit_is_429_and_nothing_is_recorded(world):
    app = made(world, rate_caller="1")
    caller = Caller(app, world.token(*INTAKE_SERVICE))
    got = statuses(lambda: caller.post("/v1/subjects", BODIES["register_subject"]), 30)
    before = world.log.head()
    refused = next(r for r in iter(lambda: caller.post("/v1/subjects", BODIES["register_subject"]), None)
                   if r.status_code == 429 or world.log.head() > before + 100)  # fmt: skip

    assert got.count(201) >= 2
    assert set(got) <= {201, 429}
    check_rate_limited(refused, '"caller";q=2;w=2')


def test_another_caller_and_health_are_not_touched_by_it(world):
    app = made(world, rate_caller="1", rate_peer="1")
    noisy = Caller(app, world.token("case_manager", "casework", "noisy"))
    while noisy.get("/v1/policies").status_code != 429:
        pass
    nobody = Caller(app, None)
    while nobody.get("/v1/policies").status_code != 429:
        pass

    assert Caller(app, world.token("case_manager", "casework", "quiet")).get("/v1/policies").status_code == 200
    assert set(statuses(lambda: nobody.get("/health/live"), 20)) == {200}
    assert set(statuses(lambda: nobody.get("/health/ready"), 5)) == {200}
    assert set(statuses(lambda: nobody.get("/metrics"), 5)) == {200}


@pytest.mark.parametrize("path", ["/v1/cases", "/v1/nowhere", "/openapi.json", "/signin", "/v1/inbox-key"])
def test_calls_without_a_valid_token_count_against_their_address(world, path):
    app = made(world, rate_peer="2")
    nobody = Caller(app, None)
    answers = [nobody.get(path) for _ in range(12)]

    assert answers[0].status_code != 429
    check_rate_limited(next(a for a in answers if a.status_code == 429), '"peer";q=4;w=2')
    assert Caller(app, world.token("case_manager", "casework")).get("/v1/policies").status_code == 200


def test_bad_tokens_count_too_and_do_not_lock_out_good_ones(world):
    app = made(world, rate_peer="2")
    answers = [Caller(app, "x.y.z").get("/v1/cases") for _ in range(12)]

    assert [a.status_code for a in answers[:4]] == [401] * 4
    check_rate_limited(next(a for a in answers if a.status_code == 429), '"peer";q=4;w=2')
    assert Caller(app, world.token("case_manager", "casework")).get("/v1/policies").status_code == 200


def test_failed_attempts_to_sign_in_are_limited_tightly_and_successes_are_not(world):
    from test_api_sessions import hidden

    app = made(world, rate_signin="3")
    browser = app.test_client()
    form = hidden(browser.get("/signin").text)

    def attempt(**fields):
        return browser.post("/signin", data={"form": form, **fields}, headers={"Accept": "text/html"})

    assert [attempt(**{"as": "case_manager"}).status_code for _ in range(8)] == [303] * 8
    assert [attempt(token="x.y.z").status_code for _ in range(3)] == [401] * 3
    refused = attempt(token="x.y.z")
    assert refused.status_code == 429
    assert refused.mimetype == "text/html"
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert attempt(**{"as": "case_manager"}).status_code == 303, "whoever can sign in is not locked out by others"


def test_reads_that_wait_starve_neither_writes_nor_health(world):
    """Of eight places four may wait; the fifth read is told at once that its view is behind."""
    app = made(world, view_wait=20.0, api_threads="8")
    manager = Caller(app, world.token("case_manager", "casework"))
    outcomes = []

    def read(path):
        began = time.monotonic()
        answer = manager.get(path)
        outcomes.append((answer.status_code, time.monotonic() - began, answer.headers.get("Retry-After")))

    with world.projector.paused():
        time.sleep(0.2)
        _, case = world.registered()
        path = f"/v1/cases/{case}?after={world.log.head()}"
        threads = [threading.Thread(target=read, args=(path,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 15
        while len(outcomes) < 8 and time.monotonic() < deadline:
            time.sleep(0.02)
        refused = list(outcomes)
        intake = Caller(app, world.token("service", "intake"))
        written = intake.post("/v1/subjects", BODIES["register_subject"]).status_code
        alive = manager.get("/health/live").status_code
    for thread in threads:
        thread.join()

    assert len(refused) == 8
    assert {(status, retry) for status, _, retry in refused} == {(503, "1")}
    assert max(seconds for _, seconds, _ in refused) < 10
    assert (written, alive) == (201, 200)
    assert sorted(status for status, _, _ in outcomes) == [200] * 4 + [503] * 8


def test_places_are_bounded_and_so_is_the_queue_for_them():
    places, entered, go = Places(2, queued=3, seconds=0.5), threading.Semaphore(0), threading.Event()
    outcomes = []

    def work():
        began = time.monotonic()
        try:
            with places.taken():
                entered.release()
                go.wait(20)
            outcomes.append("done")
        except Busy:
            outcomes.append("at once" if time.monotonic() - began < 0.4 else "after the wait")

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
        assert entered.acquire(timeout=5)
    late = [threading.Thread(target=work) for _ in range(6)]
    for thread in late:
        thread.start()
    for thread in late:
        thread.join()
    go.set()
    for worker in workers:
        worker.join()
    work()

    assert sorted(outcomes) == ["after the wait"] * 3 + ["at once"] * 3 + ["done"] * 3


def held(bodies, many):
    """Hold so many places of bodies, as senders do who never send the end."""
    stack = ExitStack()
    for _ in range(many):
        stack.enter_context(bodies.reading(1, "192.0.2.1"))
    return stack


def test_forms_that_never_end_take_no_place_from_callers(world):
    app = made(world)
    rooms = app.extensions["casekeeper"]
    caller = Caller(app, world.token(*INTAKE_SERVICE))
    with held(rooms.signins, MOST_SIGNINS):
        refused = app.test_client().post("/signin", data={"token": "x"})
        written = caller.post("/v1/subjects", BODIES["register_subject"])
    with held(rooms.bodies, MOST_BODIES):
        read = app.test_client().post("/signout", data={"form": "x"})

    assert (refused.status_code, written.status_code) == (503, 201)
    assert read.status_code != 503


def test_a_form_of_signing_in_is_small(world):
    answer = made(world).test_client().post("/signin", data={"token": "x" * MAX_FORM_BYTES})

    assert answer.status_code == 413
