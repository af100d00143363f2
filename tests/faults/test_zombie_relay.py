"""A relay that lost its lead while it compared store and topic changes neither."""

from __future__ import annotations

import time
from threading import Event

import psycopg2
import pytest

from consumers.batch_producer import BatchProducer
from consumers.tail import TopicTail
from domain.errors import StoreUnavailable
from tests.integration.consumers.log_copy import LogCopy


@pytest.fixture
def copy(log_copy: LogCopy) -> LogCopy:
    """A copy whose topic begins at position 6, so that a relay that starts would empty it."""
    log_copy.append()
    producer = BatchProducer(log_copy.settings.kafka, log_copy.topic, log_copy.mac)
    producer.publish(log_copy.log.unpublished(6, 15))
    producer.close()
    return log_copy


def end_lead(copy: LogCopy) -> None:
    """End the server's side of the relay's lock, as happens to one that is silent for longer than its lease."""
    connection = psycopg2.connect(copy.settings.events_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (f"casekeeper lead {copy.settings.topic_prefix}relay",),
        )
        assert cursor.fetchall() == [(True,)]
    connection.close()


def test_a_relay_that_no_longer_leads_does_not_empty_the_topic(copy: LogCopy, monkeypatch) -> None:
    genuine, ended = TopicTail.everything, []

    def everything(self, bounds, alive):
        for number, published in enumerate(genuine(self, bounds, alive)):
            if number == 5 and not ended:
                ended.append(end_lead(copy))
                time.sleep(1.1)
            yield published

    monkeypatch.setattr(TopicTail, "everything", everything)
    before = copy.positions()
    with pytest.raises(StoreUnavailable, match="another worker"):
        copy.relay().run(Event())

    assert copy.positions() == before == list(range(6, 21))
