"""A broker that dies and comes back: what was accepted meanwhile is on the topic and in the views, once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_copy import LogCopy
from publishing import Answers, Publisher, taking
from tally import tally, tallying

from application.examples import BODIES
from application.settings import Settings
from consumers.topics import ensure_topics
from ops.kafka.broker import Broker
from tests.waiting import until

pytestmark = pytest.mark.faults


class MortalBroker:
    """A broker that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._broker = Broker(folder / "kafka")
        self._log = folder / "kafka.log"
        self.start()

    @property
    def address(self) -> str:
        return self._broker.address

    def start(self) -> None:
        self._process = self._broker.start(self._log)
        self._broker.wait_ready()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        self._broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MortalBroker]:
    made = MortalBroker(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def copy(settings: Settings, broker: MortalBroker) -> Iterator[LogCopy]:
    own = Settings(**{**vars(settings), "kafka": broker.address})
    ensure_topics(own)
    made = LogCopy(own)
    made.admit()
    yield made
    made.close()


def test_the_log_goes_on_after_the_broker_died(copy: LogCopy, broker: MortalBroker) -> None:
    with copy.relaying() as relay, tallying(copy) as view:
        copy.append()
        until(lambda: len(tally(copy)) == 20)
        for rounds in (1, 2):
            broker.kill()
            copy.append()
            until(lambda: relay.said.state == "retrying", seconds=60)
            broker.start()
            until(lambda rounds=rounds: len(tally(copy)) == 20 + 20 * rounds, seconds=60)

    assert tally(copy) == list(range(1, 61))
    assert copy.read() == copy.stored()
    assert view.said.code != "LogGap"


def test_messages_are_answered_after_the_broker_died(copy: LogCopy, broker: MortalBroker, service) -> None:
    publisher, answers = Publisher(service, copy.settings), Answers(copy.settings)
    with taking(service, copy.settings):
        first = publisher.send("register_subject", BODIES["register_subject"])
        until(lambda: first in answers.outcomes())
        broker.kill()
        broker.start()
        publisher.close()
        answers.close()
        publisher, answers = Publisher(service, copy.settings), Answers(copy.settings)
        second = publisher.send("register_subject", BODIES["register_subject"])
        outcomes = until(lambda: (found := answers.outcomes()) and second in found and found, seconds=60)
    publisher.close()
    answers.close()

    assert {outcomes[first][0]["status"], outcomes[second][0]["status"]} == {"accepted"}
