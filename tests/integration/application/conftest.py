from __future__ import annotations

from collections.abc import Iterator

import pytest

from application.policies import Policies
from application.reading import Reading
from application.record_mapper import RecordMapper
from application.service import Service
from application.unit_of_work import Resources
from application.wiring import now
from store.log import EventLog
from store.migrate import migrate
from tests.keyrings import location_for
from vault.keyring_location import KeyringLocation
from vault.vault import MIGRATIONS, Vault


@pytest.fixture(scope="module")
def keys_dsn(pg_keys, new_database) -> str:
    """Return the keys database of the service under test."""
    dsn = new_database(pg_keys, "keys")
    migrate(dsn, MIGRATIONS)
    return dsn


@pytest.fixture(scope="module")
def events_dsn(pg_main, new_database) -> str:
    """Return the event store of the service under test."""
    dsn = new_database(pg_main, "events")
    migrate(dsn)
    return dsn


@pytest.fixture(scope="module")
def keyring(tmp_path_factory) -> KeyringLocation:
    """Return where the keyring of the service under test is."""
    return location_for(tmp_path_factory.mktemp("keys") / "keyring")


@pytest.fixture(scope="module")
def service(events_dsn, keys_dsn, keyring) -> Iterator[Service]:
    """The service on real PostgreSQL, without Kafka."""
    log = EventLog(events_dsn)
    log.admit_writes(log.admission().incarnation, 0)
    vault = Vault.open_at(keys_dsn, keyring)
    resources = Resources(log, vault, Policies.load(), RecordMapper())
    yield Service(resources, Reading(resources, now), now)
    log.close()
    vault.close()
