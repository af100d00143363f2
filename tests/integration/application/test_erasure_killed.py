"""A process that carries two erasures on is killed by SIGKILL at every step; another goes on and comes to the same end.

The steps are enumerated by a run that is not killed: each append of the saga, before and after; the recall of the keys;
each step of their destruction.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from vault_keys import Keys

from application.erasure import ErasureSaga
from application.policies import Policies
from application.record_mapper import RecordMapper
from application.service import Service
from application.unit_of_work import Resources
from application.wiring import now
from domain.record import Record
from domain.rights import DueErasure
from domain.subject import Subject
from store.log import EventLog
from tests.integration.application.made_people import OFFICER, Made
from tests.keyrings import files_of
from vault.forgetting import STEPS
from vault.keyring_location import KeyringLocation
from vault.vault import Vault


def _around(name: str) -> list[str]:
    return [f"before {name}", f"after {name}"]


CHECKPOINTS = [
    *_around("ErasureFenced") * 2,
    *[*_around("suppression"), *_around("SuppressionEntered")] * 2,
    *_around("recall"),
    *_around("ErasureDrained") * 2,
    "before destroy",
    *STEPS,
    "after destroy",
    *_around("ErasureKeysDestroyed") * 2,
    *_around("ErasureCertified") * 2,
]
SAGA = ["ErasureFenced", "SuppressionEntered", "ErasureDrained", "ErasureKeysDestroyed", "ErasureCertified"]


class Watched:
    """Calls ``at`` with the name of each step that a saga comes to."""

    def __init__(self, at: Callable[[str], None]) -> None:
        self.at = at

    def around(self, function: Callable, name: Callable[..., str]) -> Callable:
        def watched(*arguments):
            self.at(f"before {name(*arguments)}")
            result = function(*arguments)
            self.at(f"after {name(*arguments)}")
            return result

        return watched


def carry_on(places, erasures: list[DueErasure], at: Callable[[str], None]) -> None:
    """Do all the steps of these erasures in order, as a process that has just started."""
    events_dsn, keys_dsn, keyring = places
    watched = Watched(at)
    log, vault = EventLog(events_dsn), Vault.open_at(keys_dsn, keyring, after_step=at)
    log.append = watched.around(log.append, lambda command: command.events[0].type)
    vault.suppression.enter = watched.around(vault.suppression.enter, lambda *_: "suppression")
    vault.recall = watched.around(vault.recall, lambda _: "recall")
    vault.destroy_many = watched.around(vault.destroy_many, lambda _: "destroy")
    saga = ErasureSaga(Resources(log, vault, Policies.load(), RecordMapper()), now)
    for erasure in erasures:
        saga.fence(erasure)
    assert saga.drain(erasures) == {}
    assert saga.destroy(erasures) == {}
    for erasure in erasures:
        saga.certify(erasure, {"people": 1})
    log.close()
    vault.close()


def _die_at(places, erasures: list[DueErasure], number: int) -> None:
    steps = iter(range(len(CHECKPOINTS)))

    def die(_: str) -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    carry_on(places, erasures, die)
    os._exit(0)


@pytest.fixture(scope="module")
def places(
    service: Service, events_dsn: str, keys_dsn: str, keyring: KeyringLocation
) -> tuple[str, str, KeyringLocation]:
    """Give where the service keeps what it keeps."""
    return events_dsn, keys_dsn, keyring


def approved(service: Service) -> list[DueErasure]:
    people = [Made(service) for _ in range(2)]
    return [DueErasure(UUID(made.subject), UUID(made.approved_erasure()), uuid4()) for made in people]


def saga_events(service: Service, erasure: DueErasure) -> list[Record]:
    stored = service.log.read_stream(erasure.subject_id)
    return [Record.parse(row.position, row.record) for row in stored if row.type in SAGA]


def test_the_steps_are_all_there_are(service: Service, places) -> None:
    seen: list[str] = []

    carry_on(places, approved(service), seen.append)

    assert seen == CHECKPOINTS


@pytest.mark.parametrize("number", range(len(CHECKPOINTS)), ids=[f"{n} {name}" for n, name in enumerate(CHECKPOINTS)])
def test_killed_at_a_step_it_comes_to_the_same_end_once(service: Service, places, number: int) -> None:
    (_, keys_dsn, keyring), bystander, erasures = places, Made(service), approved(service)
    process = multiprocessing.get_context("fork").Process(target=_die_at, args=(places, erasures, number))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    carry_on(places, erasures, lambda _: None)
    carry_on(places, erasures, lambda _: None)

    for erasure in erasures:
        events = saga_events(service, erasure)
        assert [record.type for record in events] == SAGA
        assert len({record.data["certificate_id"] for record in events}) == 1
        rows = service.vault.scopes_of(erasure.subject_id)
        assert {row.state for row in rows} == {"destroyed"}
        assert set(events[SAGA.index("ErasureKeysDestroyed")].data["scope_ids"]) == {str(row.scope_id) for row in rows}
        ids = {"subject_id": str(erasure.subject_id), "request_id": str(erasure.request_id)}
        assert service.execute("erasure_certificate", OFFICER, ids, {}).body["state"] == "certified"
        assert service.resources.streams.load(erasure.subject_id).fenced
    assert len(Keys(keys_dsn, files_of(keyring), keyring).roots()) == 1
    assert bystander.release(bystander.authorized()).body["content"]["identity"]["given_name"] == "Ada"
    person = service.resources.streams.load(UUID(bystander.subject))
    assert isinstance(person, Subject)
    assert not person.fenced
