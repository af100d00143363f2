"""A copy of the service's stores and topics for each test: a log, views, and a topic prefix of its own.

The copies share databases, each in schemas of its own: that takes a fraction of the time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from log_copy import LogCopy
from psycopg2 import sql
from psycopg2.extensions import make_dsn
from publishing import Answers, Publisher
from service_stores import ServiceStores

import vault
from application.policies import Policies
from application.reading import Reading
from application.record_mapper import RecordMapper
from application.service import Service
from application.settings import Settings
from application.unit_of_work import Resources
from application.wiring import now
from consumers.clients import admin
from consumers.topics import TOPICS, ensure_topics
from store.log import EventLog
from store.migrate import migrate
from tests.keyrings import location_for
from vault.vault import Vault

NewSchema = Callable[[str], str]


@pytest.fixture(scope="session")
def new_schema(pg_main, new_database) -> NewSchema:
    """Give ``new_schema(name)``: makes a schema, returns a connection string that sees only that one."""
    database = new_database(pg_main, "consumers")

    def make(name: str) -> str:
        schema = f"{name}_{secrets.token_hex(4)}"
        connection = psycopg2.connect(database)
        with connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.close()
        return make_dsn(database, options=f"-c search_path={schema}")

    return make


@pytest.fixture
def settings(new_schema: NewSchema, kafka_bootstrap, tmp_path) -> Iterator[Settings]:
    """Settings of a copy with an empty, migrated log, no views yet, and its topics made."""
    events_dsn = new_schema("events")
    migrate(events_dsn)
    copy = Settings(
        home=str(tmp_path),
        events_dsn=events_dsn,
        views_dsn=new_schema("views"),
        kafka=kafka_bootstrap,
        topic_prefix=f"t{secrets.token_hex(4)}.",
    )
    ensure_topics(copy)
    yield copy
    client = admin(kafka_bootstrap)
    mine = [name for name in client.list_topics() if name in {copy.topic(topic.name) for topic in TOPICS}]
    if mine:
        client.delete_topics(mine)
    client.close()


@pytest.fixture
def log_copy(settings) -> Iterator[LogCopy]:
    """The log of that copy, with events to append."""
    copy = LogCopy(settings)
    yield copy
    copy.close()


@pytest.fixture(scope="module")
def service_stores(new_schema: NewSchema, pg_keys, new_database, tmp_path_factory) -> ServiceStores:
    """The service's stores, migrated."""
    events_dsn, keys_dsn = new_schema("events"), new_database(pg_keys, "keys")
    migrate(events_dsn)
    migrate(keys_dsn, Path(vault.__file__).parent / "migrations")
    folder = tmp_path_factory.mktemp("keys")
    return ServiceStores(events_dsn, keys_dsn, location_for(folder / "keyring"), folder / "log")


@pytest.fixture(scope="module")
def service(service_stores: ServiceStores) -> Iterator[Service]:
    """The service on real PostgreSQL."""
    log = EventLog(service_stores.events_dsn)
    log.admit_writes(log.admission().incarnation, 0)
    keys = Vault.open_at(service_stores.keys_dsn, service_stores.keyring)
    resources = Resources(log, keys, Policies.load(), RecordMapper())
    yield Service(resources, Reading(resources, now), now)
    log.close()
    keys.close()


@pytest.fixture
def publisher(service: Service, settings: Settings) -> Iterator[Publisher]:
    made = Publisher(service, settings)
    yield made
    made.close()


@pytest.fixture
def answers(settings: Settings) -> Iterator[Answers]:
    made = Answers(settings)
    yield made
    made.close()
