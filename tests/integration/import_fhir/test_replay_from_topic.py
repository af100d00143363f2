"""Replay reads the real topic: the same history as the store's, whatever else lies on the topic."""

from __future__ import annotations

import json
import time
from uuid import UUID, uuid4

import pytest
from fhir_bundles import bundle, condition, patient

from cli.replay_source import replay_source
from consumers import topics
from consumers.clients import producer
from domain.errors import InvalidInput, NotFound


@pytest.fixture(scope="module")
def person(copy, tmp_path_factory):
    path = tmp_path_factory.mktemp("fhir") / "one.json"
    path.write_text(json.dumps(bundle(patient(mrn="A-1"), condition("Asthma"))))
    _, (result,) = copy.import_files(path)
    return result


@pytest.fixture(scope="module")
def replay(copy, person):
    replay = replay_source(copy.settings, copy.service.vault)
    deadline = time.monotonic() + 30
    while replay(UUID(person.subject_id))["as_of"]["position"] < copy.service.log.head():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return replay


def test_history_is_that_of_the_store(copy, person, replay):
    found = replay(UUID(person.subject_id))

    stored = [r for r in copy.records() if UUID(person.subject_id) in r.subject_ids]
    assert [e["event_id"] for e in found["history"]] == [str(r.event_id) for r in stored]
    assert [c["id"] for c in found["state"]["cases"]] == [person.case_id]
    assert found["state"]["subject"]["identity"]["sealed"]["category"] == "identity"


def test_by_case(person, replay):
    found = replay(case_id=UUID(person.case_id))

    assert [e["type"] for e in found["history"]] == ["CaseOpened", "IntakeSubmitted"]
    assert found["subject_id"] == person.subject_id


def test_as_of_position_text_and_number_are_alike(person, replay):
    subject = UUID(person.subject_id)

    assert replay(subject, as_of=2) == replay(subject, as_of="2")
    assert len(replay(subject, as_of=2)["history"]) == 1


def test_a_strangers_record_changes_nothing(copy, person, replay):
    before = replay(UUID(person.subject_id))
    stranger = producer(copy.settings.kafka)
    stranger.send(copy.settings.topic(topics.EVENTS), key=b"x", value=b'{"type": "ConsentGranted"}').get(timeout=10)
    stranger.close()

    assert replay(UUID(person.subject_id)) == before


def test_unknown_people_and_moments(replay, person):
    with pytest.raises(NotFound):
        replay(uuid4())
    with pytest.raises(NotFound):
        replay(case_id=uuid4())
    with pytest.raises(InvalidInput):
        replay(UUID(person.subject_id), as_of="last week")
