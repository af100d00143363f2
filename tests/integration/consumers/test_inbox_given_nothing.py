"""A member of the inbox's group that was given no partitions, though nobody else takes them."""

from __future__ import annotations

import pytest
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from publishing import answered, taking

from application.examples import BODIES
from consumers import inbox
from tests.waiting import until


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give nothing to the first member there is, however often it asks; return the members that were seen."""
    genuine, seen = RangePartitionAssignor.assign.__func__, []

    def assign(cls, cluster, members):
        seen.extend(member.member_id for member in members if member.member_id not in seen)
        given = genuine(cls, cluster, members)
        return given | {seen[0]: ConsumerProtocolAssignment(cls.version, [], b"")}

    monkeypatch.setattr(RangePartitionAssignor, "assign", classmethod(assign))
    monkeypatch.setattr(inbox, "_LOOK_AGAIN_SECONDS", 0.5)
    return seen


def test_joins_again_when_nobody_takes_what_is_there(service, settings, publisher, answers, members) -> None:
    message = publisher.send("register_subject", BODIES["register_subject"])
    with taking(service, settings):
        (outcome,) = answered(answers, message)

    assert outcome["status"] == "accepted"
    assert len(members) == 2


def test_stays_when_there_is_nothing_to_take(service, settings, members) -> None:
    with taking(service, settings) as part:
        until(lambda: members)
        part.join(4)

    assert len(members) == 1
