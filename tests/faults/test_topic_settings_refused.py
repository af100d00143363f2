"""A broker that does not give topics back their settings: for good, or for now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import NotControllerError
from kafka_brokers import FaultyBroker, one
from structlog.testing import capture_logs

from application.settings import Settings
from consumers.clients import admin
from consumers.probe import topic_faults
from consumers.topics import EVENTS, ensure_topics
from domain.errors import KafkaUnavailable
from tests.topic_settings import set_topic
from tests.waiting import until

pytestmark = pytest.mark.faults

_WITH_RIGHTS = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:nobody
allow.everyone.if.no.acl.found=true
"""


@pytest.fixture(scope="module")
def with_rights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyBroker]:
    """Give a broker that looks at what a client may do, which is everything at first."""
    with one(tmp_path_factory.mktemp("rights") / "kafka") as broker:
        broker.add(_WITH_RIGHTS)
        broker.up()
        yield broker


def test_who_may_not_change_settings_goes_on_and_it_is_told(with_rights: FaultyBroker, tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), kafka=with_rights.address)
    assert EVENTS in ensure_topics(settings)
    set_topic(settings.kafka, EVENTS, retention_ms="60000")
    events = ResourcePattern(ResourceType.TOPIC, EVENTS)
    with closing(admin(settings.kafka)) as client:
        client.create_acls(
            [
                ACL("User:*", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, events),
                ACL("User:*", "*", ACLOperation.ALTER_CONFIGS, ACLPermissionType.DENY, events),
            ]
        )

        def said() -> list[dict[str, str]]:
            with capture_logs() as logged:
                assert ensure_topics(settings) == []
            return [dict(one) for one in logged if one["event"] == "topic settings refused"]

        [refused] = until(said, 10, "the refusal")

    assert (refused["topic"], refused["error"]) == (EVENTS, "TopicAuthorizationFailedError")
    assert (refused["log_level"], len(refused)) == ("warning", 4)
    assert [(one.topic, one.setting, one.found) for one in topic_faults(settings)] == [
        (EVENTS, "retention.ms", "60000")
    ]


def test_a_controller_that_is_away_is_an_outage(
    kafka_bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer, as the library gives it: an election lasts too short to be met for certain."""
    settings = Settings(home=str(tmp_path), kafka=kafka_bootstrap)
    ensure_topics(settings)
    monkeypatch.setattr(
        KafkaAdminClient,
        "alter_configs",
        lambda _, topics: {"topic": {topic.name: str(NotControllerError("elsewhere")) for topic in topics}},
    )
    with pytest.raises(KafkaUnavailable, match="Kafka: NotControllerError"):
        ensure_topics(settings)
