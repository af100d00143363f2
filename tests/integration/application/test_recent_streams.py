"""Kept aggregates: never another state than the log's, whoever appended, and nobody's changes but the log's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from application.reading import Reading
from application.recent_streams import RecentStreams, _Known
from application.service import Service
from application.unit_of_work import Resources
from application.wiring import now
from domain.case import Case
from domain.errors import RuleRefused
from domain.subject import Subject
from store.log import EventLog
from tests.integration.application.made_people import MANAGER, Made, body


@pytest.fixture(scope="module")
def made(service: Service) -> Made:
    return Made(service)


@pytest.fixture
def elsewhere(service: Service, pg_main: str) -> Iterator[Service]:
    """The service as another process has it: the same store and vault, nothing kept in common."""
    log = EventLog(service.log._dsn)
    resources = Resources(log, service.vault, service.policies, service.resources.mapper)
    yield Service(resources, Reading(resources, now), now)
    log.close()


def state(aggregate: Any) -> dict[str, Any]:
    return vars(aggregate)


def folded(service: Service, stream: str) -> dict[str, Any]:
    """The state folded from the log, event by event, with nothing kept."""
    aggregate = None
    for record in service.log.read_stream(UUID(stream)):
        stored = type("Stored", (), {"state": record.record})
        aggregate = service.resources.mapper.to_domain_event(stored).mutate(aggregate)
    return state(aggregate)


def kept(service: Service, stream: str) -> dict[str, Any]:
    aggregate = service.resources.streams.load(UUID(stream))
    assert aggregate is not None
    return state(aggregate)


def test_what_is_kept_after_each_command_is_what_the_log_says(service: Service, made: Made) -> None:
    task = made.do(MANAGER, "add_task", case_id=made.case).body["id"]
    for name, ids in (
        ("add_note", {}),
        ("assign_case", {}),
        ("complete_task", {"task_id": task}),
        ("add_task", {}),
        ("close_case", {}),
    ):
        made.do(MANAGER, name, {} if name == "complete_task" else None, case_id=made.case, **ids)
        known = service.resources.streams._known[UUID(made.case)]
        assert state(known.aggregate) == folded(service, made.case), name
    disclosure = made.authorized()
    assert UUID(disclosure) in kept(service, made.subject)["disclosures"]
    assert kept(service, made.subject) == folded(service, made.subject)


def test_what_another_process_appended_is_seen(service: Service, elsewhere: Service) -> None:
    made = Made(service)
    made.do(MANAGER, "add_note", case_id=made.case)
    elsewhere.execute("close_case", MANAGER, {"case_id": made.case}, body("close_case"))
    with pytest.raises(RuleRefused):
        made.do(MANAGER, "add_note", case_id=made.case)
    assert kept(service, made.case) == folded(service, made.case)


def test_a_stream_whose_last_event_is_another_one_is_read_anew(service: Service, made: Made) -> None:
    streams = RecentStreams(service.log, service.resources.mapper)
    known = streams.load(UUID(made.subject))
    assert isinstance(known, Subject)
    other = known.copy()
    other.language = "xx"
    streams._known[known.id] = _Known(other, uuid4(), 1)
    assert state(streams.load(known.id)) == folded(service, made.subject)


def test_a_stream_that_is_no_longer_there_is_not_found(service: Service, made: Made) -> None:
    streams = RecentStreams(service.log, service.resources.mapper)
    known = streams.load(UUID(made.subject))
    gone = uuid4()
    streams._known[gone] = _Known(known, uuid4(), 1)
    assert streams.load(gone) is None


def test_changes_to_a_loaded_aggregate_stay_with_who_loaded_it(service: Service) -> None:
    made = Made(service)
    case = service.resources.streams.load(UUID(made.case))
    assert isinstance(case, Case)
    case.open_tasks.add(uuid4())
    case.intakes.clear()
    case.state = "closed"
    assert kept(service, made.case) == folded(service, made.case)


def test_a_refused_command_leaves_what_is_kept_as_it_was(service: Service) -> None:
    made = Made(service)
    before = kept(service, made.case)
    with pytest.raises(RuleRefused):
        made.do(MANAGER, "complete_task", {}, case_id=made.case, task_id=str(uuid4()))
    assert kept(service, made.case) == before == folded(service, made.case)


def test_what_is_kept_is_bounded(service: Service, made: Made) -> None:
    sizes = [sum(len(r.record) for r in service.log.read_stream(UUID(s))) for s in (made.subject, made.case)]
    streams = RecentStreams(service.log, service.resources.mapper, most_bytes=max(sizes))
    streams.load(UUID(made.subject))
    assert list(streams._known) == [UUID(made.subject)]
    streams.load(UUID(made.case))
    assert list(streams._known) == [UUID(made.case)]
    assert streams._size == sizes[1]
