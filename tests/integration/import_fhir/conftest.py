"""A copy of the service of its own for each module: databases, keyring, topics, and a worker with relay and inbox."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_copy import RunningCopy

import vault
from application.settings import Settings
from consumers.clients import admin
from consumers.topics import TOPICS, ensure_topics
from store.migrate import migrate
from tests.keyrings import location_for

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "fhir"))
"""``fhir_bundles``, the hand-written FHIR."""


@pytest.fixture(scope="module")
def copy(pg_main, pg_keys, kafka_bootstrap, new_database, tmp_path_factory) -> Iterator[RunningCopy]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        home=str(home),
        events_dsn=new_database(pg_main, "events"),
        views_dsn=new_database(pg_main, "views"),
        keys_dsn=new_database(pg_keys, "keys"),
        keyring=str(location_for(home / "keyring")),
        kafka=kafka_bootstrap,
        topic_prefix=f"t{secrets.token_hex(4)}.",
    )
    migrate(settings.events_dsn)
    migrate(settings.keys_dsn, Path(vault.__file__).parent / "migrations")
    ensure_topics(settings)
    running = RunningCopy(settings)
    running.start()
    yield running
    running.stop()
    client = admin(kafka_bootstrap)
    client.delete_topics([settings.topic(topic.name) for topic in TOPICS])
    client.close()
