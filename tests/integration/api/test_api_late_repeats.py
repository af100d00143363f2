"""Over HTTP, a write that is repeated days later."""

from datetime import timedelta
from uuid import uuid4

NOTE = {"text": "Asked the hospital for the imaging."}


def test_a_repeat_after_two_days_is_told_that_it_was_done(world, monkeypatch):
    _, case = world.registered()
    key, path = str(uuid4()), f"/v1/cases/{case}/notes"
    first = world.people.manager.post(path, NOTE, key=key)
    head, there = world.log.head(), world.service.clock() + timedelta(days=2)
    world.service.housekeeping(lambda: there)
    monkeypatch.setattr(world.service, "clock", lambda: there)
    again = world.people.manager.post(path, NOTE, key=key)
    other_call = world.people.manager.post(f"/v1/cases/{case}/assignments", {"assignee": "a1"}, key=key)

    assert first.status_code == 201
    assert (again.status_code, again.json["type"]) == (409, "urn:casekeeper:problem:done-long-ago")
    assert "Retry-After" not in again.headers
    assert other_call.json["type"] == "urn:casekeeper:problem:idempotency-key-reused"
    assert world.log.head() == head
