"""Keys that a restore brought back are destroyed again at the next start, on the word of the log."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from application.erasure import ErasureSaga
from application.key_reconciliation import PAGE, reconcile_keys
from application.wiring import build_resources, build_service
from domain.errors import RuleRefused
from tests.keyrings import of_files
from tests.keys_story import closed, erased, kept_aside, new_installation, opened, registered, restart


@pytest.fixture
def settings(pg_main, pg_keys, new_database, tmp_path):
    return new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "home")


@of_files
def test_keys_and_keyring_of_the_past_do_not_bring_a_person_back(settings, tmp_path):
    service = build_service(settings)
    people = registered(service, 4)
    erased(service, people[0])
    closed(service)
    past = kept_aside(settings, tmp_path / "past")
    service = build_service(settings)
    certificate = erased(service, people[1])
    now = opened(service)
    assert certificate in now.values()
    closed(service)
    old = {"keys_dsn": past.keys_dsn, "keyring": past.keyring, "keys_log": past.keys_log}

    with_old_keys = restart(settings, **old)

    assert opened(with_old_keys) == now
    assert len(list(past.keyring.glob("root-*.key"))) == 1
    assert reconcile_keys(with_old_keys.log, with_old_keys.vault).again == ()
    closed(with_old_keys)


@of_files
def test_what_it_destroyed_again_is_reported_and_no_more_than_that(settings, tmp_path):
    service = build_service(settings)
    people = registered(service, 3)
    closed(service)
    past = kept_aside(settings, tmp_path / "past")
    service = build_service(settings)
    certificate = erased(service, people[0])
    expected = opened(service)
    closed(service)
    old = replace(settings, keys_dsn=past.keys_dsn, keyring=f"file:{past.keyring}", keys_log=str(past.keys_log))
    resources = build_resources(old)
    assert certificate not in opened(resources).values()

    done = reconcile_keys(resources.log, resources.vault)

    assert [again.certificate_id for again in done.again] == [certificate]
    assert done.again[0].keys == done.fences > 1
    assert opened(resources) == expected


def test_what_is_fenced_and_not_destroyed_is_left_to_its_erasure(settings, tmp_path, monkeypatch):
    service = build_service(settings)
    [person] = registered(service, 1)
    whole = opened(service)
    monkeypatch.setattr(ErasureSaga, "drain", lambda *_: {})
    monkeypatch.setattr(ErasureSaga, "destroy", lambda *_: {})
    monkeypatch.setattr(ErasureSaga, "certify", lambda *_: None)
    with pytest.raises(RuleRefused, match="not certified"):
        erased(service, person)

    done = reconcile_keys(service.log, service.vault)

    assert (done.fences > 0, done.again) == (True, ())
    assert opened(service) == whole
    closed(service)


def test_fences_are_compared_page_by_page(settings, monkeypatch):
    service = build_service(settings)
    for person in registered(service, 3):
        erased(service, person)
    seen = []
    monkeypatch.setattr("application.key_reconciliation.PAGE", 2)

    done = reconcile_keys(service.log, service.vault, seen.append)

    assert PAGE > 2
    assert seen == sorted(set(seen))
    assert seen[-1] == done.fences >= 6
    assert reconcile_keys(service.log, service.vault).again == ()
    assert service.vault.live_among([uuid4()]) == {}
    closed(service)
