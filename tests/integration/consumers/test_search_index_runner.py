"""The blind index run as the worker runs it, over real Kafka: keys away, a value that does not open, a new key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from log_copy import LogCopy, record, running
from service_stores import ServiceStores
from tally import sources

from application.caller import Caller
from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from consumers.runner import ProjectionRunner
from domain.sealed import Binding, KeyScope
from projections import search_index
from projections.search_index import SearchIndex
from store.append import NewEvent
from tests.keyrings import files_of
from tests.waiting import until
from vault.vault import Vault

INTAKE = Caller("forms", "f1", frozenset({"service"}), "intake", "api", uuid4())


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def copy(settings: Settings, service_stores: ServiceStores) -> Iterator[LogCopy]:
    """The service's own log, with topic and views of this test's own."""
    made = LogCopy(replace(settings, events_dsn=service_stores.events_dsn))
    yield made
    made.close()


@pytest.fixture
def keys(service_stores: ServiceStores) -> Iterator[Vault]:
    """The service's keys as another process sees them, none of them cached."""
    opened = Vault.open_at(service_stores.keys_dsn, service_stores.keyring, cache_seconds=0)
    yield opened
    opened.close()


def indexing(copy: LogCopy, vault: Vault, clock: Clock) -> Any:
    index = SearchIndex(vault, 30, clock)
    return running("search_index", lambda report: ProjectionRunner(index, sources(copy), report).run)


def person(service: Service) -> str:
    return str(service.execute("register_subject", INTAKE, {}, BODIES["register_subject"]).body["id"])


def ask(copy: LogCopy, query: str) -> list[tuple[Any, ...]]:
    """Return rows of the views; none while there is no such table."""
    connection = psycopg2.connect(copy.settings.views_dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    except psycopg2.errors.UndefinedTable:
        return []
    finally:
        connection.close()


def indexed(copy: LogCopy) -> set[str]:
    return {row[0] for row in ask(copy, "SELECT DISTINCT subject_id::text FROM view_search_index_tags")}


def test_keys_that_are_away_hold_the_view_up_and_set_nothing_aside(
    service, copy, keys, service_stores, tmp_path
) -> None:
    first = person(service)
    keyring = files_of(service_stores.keyring)
    with copy.relaying(), indexing(copy, keys, Clock()) as part:
        until(lambda: first in indexed(copy))
        second = person(service)
        until(lambda: second in indexed(copy))
        away = tmp_path / "away"
        third_record = registration_by_hand(service, copy)
        keyring.rename(away)
        try:
            [position] = copy.append(third_record[1])
            until(lambda: part.said.state == "retrying")
            code = part.said.code
            reached = ask(copy, "SELECT position FROM view_positions WHERE name = 'search_index'")
        finally:
            away.rename(keyring)
        until(lambda: third_record[0] in indexed(copy))

    assert code == "KeysUnavailable"
    assert reached < [(position,)]
    assert ask(copy, "SELECT count(*) FROM parked_records") == [(0,)]


def registration_by_hand(service: Service, copy: LogCopy) -> tuple[str, NewEvent]:
    """Return a person whose registration is sealed and not appended yet: nothing can be sealed while keys are away."""
    subject, event_id = uuid4(), uuid4()
    vault = service.vault
    binding = Binding(subject, subject, event_id, "SubjectRegistered", 1, "identity")
    part = vault.seal(
        vault.scope(KeyScope(subject, "identity", None, 1)), "identity", binding, BODIES["register_subject"]["identity"]
    )
    return str(subject), appended(subject, event_id, part.to_json())


def appended(subject: UUID, event_id: UUID, identity: dict[str, str]) -> NewEvent:
    event = record("SubjectRegistered", stream_id=subject, data={"engagement": 1, "language": "en"})
    value = {**json.loads(event.record), "event_id": str(event_id), "sealed": {"identity": identity}}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return NewEvent(event_id, subject, 1, "SubjectRegistered", text.encode())


def test_a_value_that_does_not_open_is_parked_alone(service, copy, keys) -> None:
    before = person(service)
    moved = registration_by_hand(service, copy)[1]
    stranger = uuid4()
    sealed = json.loads(moved.record)["sealed"]["identity"]
    copy.append(appended(stranger, uuid4(), {**sealed, "subject_id": str(stranger)}))
    after = person(service)
    with copy.relaying(), indexing(copy, keys, Clock()) as part:
        until(lambda: {before, after} <= indexed(copy))
        state = part.said.state

    assert state == "running"
    assert ask(copy, "SELECT stream_id::text, reason FROM parked_records") == [(str(stranger), "Tampered")]


def test_the_key_is_replaced_while_people_come(service, copy, keys, monkeypatch) -> None:
    monkeypatch.setattr(search_index, "BUILT_AT_ONCE", 3)
    clock = Clock()
    people = {person(service) for _ in range(8)}
    with copy.relaying(), indexing(copy, keys, clock):
        until(lambda: people <= indexed(copy))
        [(old,)] = ask(copy, "SELECT epoch FROM view_search_index_epochs")
        clock.now += timedelta(days=30)
        until(lambda: len(ask(copy, "SELECT epoch FROM view_search_index_epochs")) == 2)
        people |= {person(service) for _ in range(4)}
        until(
            lambda: (
                ask(copy, "SELECT epoch, state FROM view_search_index_epochs") == [(old + 30, "current")]
                and people <= indexed(copy)
            )
        )

    names = [name for name in keys.secrets() if name.startswith("index-")]
    assert names == [f"index-{old + 30}"]
    assert ask(copy, "SELECT DISTINCT epoch FROM view_search_index_tags") == [(old + 30,)]
    tags = "SELECT count(*) FROM view_search_index_tags t JOIN view_search_index_sources s USING (source_id)"
    [(number,)] = ask(copy, tags)
    [(sources_,)] = ask(copy, "SELECT count(*) FROM view_search_index_sources WHERE value ->> 'value' IS NOT NULL")
    assert number == 5 * sources_
