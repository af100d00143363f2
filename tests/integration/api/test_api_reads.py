"""Reads: waiting for a view, ETags, headers, health, metrics, logs."""

import io
import logging
import re
import sys
import threading
from uuid import UUID, uuid4

import pytest
import structlog
from api_world import Caller

from api.app import create_app
from application.examples import BODIES
from application.logging import configure


@pytest.fixture(scope="module")
def impatient(world):
    """The same rooms, with a short wait for views."""
    return create_app(world.settings, world.service, world.views, None, view_wait=0.2)


def test_a_view_that_is_behind_is_503_and_then_catches_up(world, impatient):
    manager = Caller(impatient, world.token("case_manager", "casework"))
    with world.projector.paused():
        subject, case = world.registered()
        position = world.log.head()
        behind = [
            manager.get(f"/v1/cases?after={position}"),
            manager.get(f"/v1/cases/{case}?after={position}"),
            manager.get(f"/v1/subjects/{subject}"),
            manager.get(f"/v1/subjects/{subject}/consents?after={position}"),
        ]
    caught_up = world.people.manager.get(f"/v1/cases/{case}?after={position}")

    assert {(a.status_code, a.json["type"]) for a in behind} == {(503, "urn:casekeeper:problem:view-behind")}
    assert all(int(a.headers["Retry-After"]) >= 1 for a in behind)
    assert caught_up.status_code == 200


def test_a_read_waits_for_the_position_it_names(world):
    with world.projector.paused():
        _, case = world.registered()
        position = world.log.head()
        manager, answers = world.people.manager, []
        waiting = threading.Thread(target=lambda: answers.append(manager.get(f"/v1/cases/{case}?after={position}")))
        waiting.start()
        waiting.join(0.3)
        still_waiting = waiting.is_alive()
    waiting.join(10)

    assert still_waiting
    assert answers[0].status_code == 200
    assert answers[0].json["id"] == case


@pytest.fixture
def told(world):
    subject, case = world.registered()
    position = world.log.head()
    for view in ("people", "case_page"):
        world.views.wait_for(view, position, 10)
    return subject, case


def test_an_etag_answers_304_until_something_changes_and_the_reading_is_recorded(world, told):
    _, case = told
    manager = world.people.manager
    first = manager.get(f"/v1/cases/{case}")
    tag = first.headers["ETag"]
    before = world.log.head()
    same = manager.get(f"/v1/cases/{case}", **{"If-None-Match": tag})
    recorded = [stored.type for stored in world.log.read_from(before + 1, 10)]
    noted = manager.post(f"/v1/cases/{case}/notes", {"text": "New"}).json["receipt"]["position"]
    changed = manager.get(f"/v1/cases/{case}?after={noted}", **{"If-None-Match": tag})

    assert tag.startswith('W/"')
    assert (same.status_code, same.data) == (304, b"")
    assert recorded == ["AccessRecorded"]
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_an_etag_of_one_role_is_not_good_for_another(world, told):
    subject, _ = told
    tag = world.people.manager.get(f"/v1/subjects/{subject}").headers["ETag"]
    masked = world.people.regulator.get(f"/v1/subjects/{subject}", **{"If-None-Match": tag})

    assert masked.status_code == 200
    assert masked.json["identity"] == {"masked": {"category": "identity"}}


def test_a_sent_request_id_is_kept_and_is_the_events_correlation_id(world, told):
    sent = str(uuid4())
    answer = world.people.manager.post(f"/v1/cases/{told[1]}/notes", {"text": "x"}, headers={"X-Request-Id": sent})
    stored = world.log.read_from(answer.json["receipt"]["position"], 1)[0]

    assert answer.headers["X-Request-Id"] == sent
    assert f'"correlation_id":"{sent}"'.encode() in stored.record


@pytest.mark.parametrize("sent", ["Zq7Marker", "", "12345678", "{c9139457-f447-43fe-a31c-86170a3df98c}"])
def test_a_request_id_that_is_no_uuid_is_replaced(world, sent):
    answer = world.people.manager.get("/v1/policies", **{"X-Request-Id": sent})
    assert str(UUID(answer.headers["X-Request-Id"])) != sent
    assert "Zq7Marker" not in str(answer.headers)


def test_nothing_personal_may_be_stored_by_a_cache_or_framed(world, told):
    for path in (f"/v1/subjects/{told[0]}", "/v1/cases", "/v1/nothing"):
        headers = world.people.manager.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_metrics_count_by_route_and_carry_nothing_personal(world, told):
    subject, case = told
    manager = world.people.manager
    manager.get(f"/v1/cases/{case}")
    manager.get("/v1/Zq7Marker")
    world.app.test_client().open("/v1/cases", method="ZQ7MARKER")
    text = world.app.test_client().get("/metrics").text

    assert re.search(
        r'casekeeper_http_requests_total\{method="GET",route="/v1/cases/<uuid:case_id>",status="200"\} [1-9]', text
    )
    assert re.search(r'casekeeper_view_lag\{view="worklist"\} \d', text)
    assert re.search(r"casekeeper_log_head [1-9]", text)
    assert "Zq7Marker".lower() not in text.lower()
    assert case not in text
    assert subject not in text


@pytest.fixture
def logs():
    """Give what is logged while a test runs, in the service's own form."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level, sys.excepthook, threading.excepthook
    configure(stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level, sys.excepthook, threading.excepthook = before


def test_logs_of_requests_carry_no_id_of_a_person_and_nothing_that_was_sent(world, logs, told):
    subject, case = told
    world.people.manager.get(f"/v1/subjects/{subject}")
    world.people.manager.post(f"/v1/cases/{case}/notes", {"text": "Zq7Marker", "Zq7Marker": 1})
    world.people.manager.get("/v1/Zq7Marker?x=Zq7Marker")
    logged = logs.getvalue()

    assert '"route": "/v1/subjects/<uuid:subject_id>"' in logged
    assert '"code": "invalid-input"' in logged
    assert "Zq7Marker" not in logged
    assert subject not in logged


def test_a_replay_is_answered_by_what_the_application_was_given(world):
    """The replay itself is the audit room's; here: its arguments, its rights, and that the reading is recorded."""
    asked = []

    def replay(**query):
        asked.append(query)
        return {
            "as_of": {"position": 1, "time": None},
            "subject_id": subject,
            "case_id": None,
            "history": [],
            "state": {},
        }

    app = create_app(world.settings, world.service, world.views, replay)
    regulator = Caller(app, world.token("regulator", "audit", "r1"))
    subject, case = world.registered()
    before = world.log.head()
    person = regulator.post("/v1/audit/replays", {"subject_id": subject, "as_of": 1})
    by_time = regulator.post("/v1/audit/replays", {"case_id": case, "as_of": "2026-03-01T10:00:00+01:00"})
    neither = regulator.post("/v1/audit/replays", {"as_of": True})
    recorded = [stored.type for stored in world.log.read_from(before + 1, 10)]

    assert (person.status_code, by_time.status_code) == (200, 200)
    assert (asked[0]["subject_id"], asked[0]["as_of"]) == (UUID(subject), 1)
    assert asked[1]["as_of"].isoformat() == "2026-03-01T09:00:00+00:00"
    assert (neither.status_code, [e["field"] for e in neither.json["errors"]]) == (422, ["as_of"])
    assert recorded == ["AccessRecorded", "AccessRecorded"]
    assert Caller(app, world.token("case_manager", "casework")).post("/v1/audit/replays").status_code == 403


def test_examples_of_the_catalogue_are_taken(world):
    assert world.people.intake.post("/v1/subjects", BODIES["register_subject"]).status_code == 201
