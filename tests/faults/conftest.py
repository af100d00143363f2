"""What several fault tests break: a broker of the module's own, and a log with its topic."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from kafka_brokers import FaultyBroker, one

from application.settings import Settings
from consumers.topics import ensure_topics
from store.migrate import migrate
from tests.integration.consumers.log_copy import LogCopy


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyBroker]:
    """Give a running broker of the module's own."""
    with one(tmp_path_factory.mktemp("broker") / "kafka") as made:
        made.up()
        yield made


@pytest.fixture
def log_copy(kafka_bootstrap: str, pg_main: str, new_database, tmp_path) -> Iterator[LogCopy]:
    """Give an empty log that takes writes, and its topic, on the session's servers."""
    dsn = new_database(pg_main, "faults")
    migrate(dsn)
    prefix = f"t{secrets.token_hex(4)}."
    settings = Settings(home=str(tmp_path), events_dsn=dsn, kafka=kafka_bootstrap, topic_prefix=prefix)
    ensure_topics(settings)
    made = LogCopy(settings)
    made.admit()
    yield made
    made.close()
