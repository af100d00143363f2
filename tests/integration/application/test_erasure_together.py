"""Erasures that are due together: one rotation of the keys, and none held up by what is wrong with another."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg2

from application.erasure import ErasureSaga
from application.service import Service
from domain.errors import Tampered
from domain.events.rights import ErasureKeysDestroyed
from domain.rights import DueErasure
from domain.subject import Subject
from tests.integration.application.made_people import MANAGER, OFFICER, Made


def due(service: Service, saga: ErasureSaga) -> DueErasure:
    """Return an erasure of a person of its own that is drained."""
    made = Made(service)
    erasure = DueErasure(UUID(made.subject), UUID(made.approved_erasure()), uuid4())
    saga.fence(erasure)
    assert saga.drain([erasure]) == {}
    return erasure


def destroyed(service: Service, erasure: DueErasure) -> ErasureKeysDestroyed | None:
    person = service.resources.streams.load(erasure.subject_id)
    assert isinstance(person, Subject)
    return person.request(erasure.request_id).destroyed


def test_three_together_turn_the_root_once_and_each_has_its_certificate(service: Service) -> None:
    bystander = Made(service)
    saga = ErasureSaga(service.resources, service.clock)
    erasures = [due(service, saga) for _ in range(3)]

    assert saga.destroy(erasures) == {}
    assert saga.destroy(erasures) == {}

    events = [destroyed(service, erasure) for erasure in erasures]
    assert len({event.certificate_id for event in events}) == 3
    assert len({(event.root_epoch_before, event.root_epoch_after) for event in events}) == 1
    for erasure, event in zip(erasures, events, strict=True):
        rows = service.vault.scopes_of(erasure.subject_id)
        assert set(event.scope_ids) == {row.scope_id for row in rows}
        assert {row.state for row in rows} == {"destroyed"}
        saga.certify(erasure, {})
        ids = {"subject_id": str(erasure.subject_id), "request_id": str(erasure.request_id)}
        said = service.execute("erasure_certificate", OFFICER, ids, {}).body
        assert said["certificate_id"] == str(event.certificate_id)
    assert bystander.release(bystander.authorized()).body["content"]["identity"]["given_name"] == "Ada"


def test_a_key_that_does_not_open_stops_its_own_erasure_only(service: Service, keys_dsn: str) -> None:
    saga = ErasureSaga(service.resources, service.clock)
    well, ill, also_well = (due(service, saga) for _ in range(3))
    [scope_id, *_] = [row.scope_id for row in service.vault.scopes_of(ill.subject_id)]
    flip = "UPDATE key_node SET wrapped = set_byte(wrapped, 30, 255 - get_byte(wrapped, 30)) WHERE node_id = %s"
    connection = psycopg2.connect(keys_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(flip, (str(scope_id),))

    failures = saga.destroy([well, ill, also_well])

    assert {id_: type(error) for id_, error in failures.items()} == {ill.request_id: Tampered}
    assert destroyed(service, well) is not None
    assert destroyed(service, also_well) is not None
    assert destroyed(service, ill) is None
    assert {row.state for row in service.vault.scopes_of(ill.subject_id)} == {"live"}

    with connection, connection.cursor() as cursor:
        cursor.execute(flip, (str(scope_id),))
    connection.close()
    assert saga.destroy([ill]) == {}
    assert destroyed(service, ill) is not None
    made = Made(service)
    assert made.do(MANAGER, "add_note", case_id=made.case).status == 201


def test_who_let_go_is_recorded_and_says_until_when_a_key_may_be_in_use(service: Service, keys_dsn: str) -> None:
    saga = ErasureSaga(service.resources, service.clock)
    all_told = due(service, saga)
    connection = psycopg2.connect(keys_dsn)
    with connection, connection.cursor() as cursor:
        # A process that died a moment ago: its keys are not known to be gone.
        cursor.execute("INSERT INTO key_holder (holder_id, recalled) VALUES (%s, 0)", (str(uuid4()),))
    connection.close()
    one_silent = due(service, saga)
    saga.destroy([all_told, one_silent])

    for erasure, unanswered, seconds in ((all_told, 0, 2), (one_silent, 1, 30)):
        person = service.resources.streams.load(erasure.subject_id)
        assert isinstance(person, Subject)
        request = person.request(erasure.request_id)
        assert (request.drained.processes_acknowledged, request.drained.processes_unanswered) == (0, unanswered)
        assert request.destroyed.unrecoverable_after - request.destroyed.destroyed_at == timedelta(seconds=seconds)


def test_what_is_fenced_is_not_destroyed_before_it_is_drained(service: Service) -> None:
    made = Made(service)
    erasure = DueErasure(UUID(made.subject), UUID(made.approved_erasure()), uuid4())
    saga = ErasureSaga(service.resources, service.clock)
    saga.fence(erasure)

    assert saga.destroy([erasure]) == {}

    assert destroyed(service, erasure) is None
    assert {row.state for row in service.vault.scopes_of(erasure.subject_id)} == {"live"}
