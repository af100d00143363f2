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
from vault.vault import MIGRATIONS, Vault


@pytest.fixture(scope="module")
def keys_dsn(pg_keys, new_database) -> str:
    """Return the keys database of the service under test."""
    dsn = new_database(pg_keys, "keys")
    migrate(dsn, MIGRATIONS)
    return dsn


@pytest.fixture(scope="module")
def service(pg_main, keys_dsn, new_database, tmp_path_factory) -> Iterator[Service]:
    """The service on real PostgreSQL, without Kafka."""
    events_dsn = new_database(pg_main, "events")
    migrate(events_dsn)
    log = EventLog(events_dsn)
    log.admit_writes(log.admission().incarnation, 0)
    vault = Vault.open_at(keys_dsn, tmp_path_factory.mktemp("keyring"))
    resources = Resources(log, vault, Policies.load(), RecordMapper())
    yield Service(resources, Reading(resources, now), now)
    log.close()
    vault.close()
