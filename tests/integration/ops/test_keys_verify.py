"""``casekeeper keys``, as an operator types it, on whole and on damaged keys."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import psycopg2
import pytest
from vault_keys import Keys

from application.settings import Settings
from application.wiring import build_service
from tests.keyrings import files_of, of_files
from tests.keys_story import casekeeper, closed, erased, kept_aside, new_installation, opened, registered
from vault.change_file import ChangeFolder
from vault.change_replay import replay
from vault.forgetting import REWRAPPED
from vault.renewal import BATCH_RENEWED
from vault.vault import Vault


@pytest.fixture
def settings(pg_main, pg_keys, new_database, tmp_path):
    return new_installation(new_database(pg_main, "events"), new_database(pg_keys, "keys"), tmp_path / "home")


def verified(settings: Settings) -> tuple[int, dict[str, tuple[bool, str]]]:
    done = casekeeper(settings, "keys", "verify", "--json")
    checks = json.loads(done.stdout)["checks"]
    return done.returncode, {check["name"]: (check["ok"], check["found"]) for check in checks}


def by_hand(settings: Settings, *statements: str) -> None:
    connection = psycopg2.connect(settings.keys_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE key_node DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("ALTER TABLE key_node ENABLE TRIGGER USER")
    connection.close()


@of_files
def test_whole_keys_are_well_and_what_a_restore_brought_back_is_not(settings, tmp_path):
    service = build_service(settings)
    people = registered(service, 3)
    closed(service)
    past = kept_aside(settings, tmp_path / "past")
    service = build_service(settings)
    certificate = erased(service, people[0])
    closed(service)

    status, checks = verified(settings)

    assert (status, {ok for ok, _ in checks.values()}) == (0, {True})
    assert checks.keys() == {"fences", "keys open", "destroyed keys", "keyring", "change log"}
    connection = psycopg2.connect(settings.keys_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM key_node")
        assert checks["keys open"][1] == f"{cursor.fetchone()[0]} keys"
    connection.close()

    old = replace(settings, keys_dsn=past.keys_dsn, keyring=f"file:{past.keyring}", keys_log=str(past.keys_log))
    status, checks = verified(old)
    assert status == 1
    assert checks["destroyed again"][1].startswith(f"certificate {certificate}: ")
    assert verified(old)[0] == 0


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        ("UPDATE key_node SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) WHERE kind = 'data' AND "
         "node_id = (SELECT min(node_id::text)::uuid FROM key_node WHERE kind = 'data')", "keys open"),
        ("DELETE FROM key_node WHERE kind = 'data' AND "
         "node_id = (SELECT min(node_id::text)::uuid FROM key_node WHERE kind = 'data')", "keys open"),
        ("INSERT INTO key_node SELECT d.scope_id, 'data', NULL, NULL, 1, n.parent_id, n.parent_version, n.wrapped, "
         "d.fingerprint FROM destroyed_scope d, key_node n WHERE n.kind = 'data' LIMIT 1", "destroyed keys"),
    ],
    ids=["changed", "lost", "put back"],
)  # fmt: skip
def test_damage_in_the_cluster_is_found_there_and_against_the_log(settings, damage, name):
    service = build_service(settings)
    people = registered(service, 2)
    erased(service, people[0])
    closed(service)
    by_hand(settings, damage)

    status, checks = verified(settings)

    assert status == 1
    assert {found for found, (ok, _) in checks.items() if not ok} == {name, "change log"}
    assert "1 rows differ" in checks["change log"][1]


@of_files
def test_a_second_root_key_and_a_shortened_log_are_found(settings):
    service = build_service(settings)
    registered(service, 1)
    closed(service)
    [root] = settings.keyring_location.folders[0].glob("root-*.key")
    other = settings.keyring_location.folders[0] / root.name.replace("000001-", "000009-")
    other.write_bytes(root.read_bytes())

    assert casekeeper(settings, "keys", "verify").returncode == 1

    other.unlink()
    [log] = settings.keys_log_path.glob("keys-*.log")
    log.write_bytes(log.read_bytes()[:-3])
    status, checks = verified(settings)
    assert (status, checks) == (1, {"together": (False, "the key change log has lost its end, or is of other keys")})


def test_a_lost_log_is_begun_anew_on_demand_only(settings):
    service = build_service(settings)
    registered(service, 2)
    whole = opened(service)
    closed(service)
    [log] = settings.keys_log_path.glob("keys-*.log")
    log.unlink()

    refused = casekeeper(settings, "keys", "dump")
    anew = casekeeper(settings, "keys", "dump", "--log-lost")

    assert (refused.returncode, anew.returncode) == (1, 0)
    assert "is its volume mounted" in refused.stderr
    assert verified(settings)[0] == 0
    service = build_service(settings)
    assert opened(service) == whole
    closed(service)


class _StoppedError(Exception):
    """Stands for a process that ended at a step."""


def test_a_renewal_that_was_killed_goes_on_where_asked_and_says_since_when_no_key_is_older(settings):
    service = build_service(settings)
    registered(service, 2)
    whole = opened(service)
    closed(service)

    def stop(step: str) -> None:
        if step == BATCH_RENEWED:
            raise _StoppedError

    vault = Vault.open_at(settings.keys_dsn, settings.keyring_location, after_step=stop, changes=settings.keys_log_path)
    with closing(vault), pytest.raises(_StoppedError):
        vault.renew_all(datetime(2026, 3, 4, tzinfo=UTC))

    on = casekeeper(settings, "keys", "rotate", "--all", "--continue")
    anew = casekeeper(settings, "keys", "rotate", "--all")

    assert (on.returncode, anew.returncode) == (0, 0), on.stderr + anew.stderr
    assert "none is from before 2026-03-04T00:00:00+00:00; root key of epoch 2" in on.stdout
    assert "root key of epoch 3" in anew.stdout
    assert "2026-03-04" not in anew.stdout
    assert verified(settings)[0] == 0
    service = build_service(settings)
    assert opened(service) == whole
    closed(service)


def test_a_command_that_finishes_what_another_process_left_has_it_in_the_log_first(settings):
    service = build_service(settings)
    [person] = registered(service, 1)
    closed(service)

    def stop(step: str) -> None:
        if step == REWRAPPED:
            raise _StoppedError

    vault = Vault.open_at(settings.keys_dsn, settings.keyring_location, after_step=stop)
    with closing(vault), pytest.raises(_StoppedError):
        vault.destroy(uuid4(), datetime.now(UTC), [person], [])
    assert replay(ChangeFolder(settings.keys_log_path)).root().epoch == 1

    assert casekeeper(settings, "keys", "certificate", "--public-key").returncode == 0

    keys = Keys(settings.keys_dsn, files_of(settings.keyring_location), settings.keyring_location)
    assert len(keys.roots()) == 1
    assert replay(ChangeFolder(settings.keys_log_path)).root().epoch == 2
