"""A handler that takes its time is not taken for one that hangs, and what it has done is committed as it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from uuid import UUID, uuid4

import pytest
from log_copy import running
from publishing import Answers, Publisher

from application.settings import Settings
from consumers import inbox, parts
from consumers.inbox import Inbox
from consumers.inbox_handler import Handled, Outcome, Raw
from consumers.parts import Part
from tests.waiting import until

MESSAGES = 20
EACH_SECONDS = 0.3
HUNG_SECONDS = 3.0


class Handler:
    """Answers each message after what ``wait`` does."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self.taken = 0
        self._wait = wait
        self._ids = count()

    def handle(self, raw: Raw) -> Handled:
        self.taken += 1
        self._wait()
        body = {"publisher_id": "p", "status": "rejected", "problem": {"type": "urn:casekeeper:problem:not-found"}}
        message_id = UUID(int=next(self._ids))
        return Handled(Outcome(message_id, {**body, "message_id": str(message_id)}))

    def signed(self, outcome: Outcome, raw: Raw) -> bytes:
        return b"what is answered matters to nobody here"


@contextmanager
def taking(settings: Settings, handler: Handler) -> Iterator[Part]:
    with running("inbox", lambda report: Inbox(settings, handler, report).run) as part:  # type: ignore[arg-type]
        yield part


@pytest.fixture
def backlog(publisher: Publisher) -> None:
    """Messages enough, in one partition, to take longer than a part may be silent."""
    for _ in range(MESSAGES):
        publisher.put(b"slow", str(uuid4()), partition=1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "HUNG_SECONDS", HUNG_SECONDS)


@pytest.mark.usefixtures("backlog")
def test_one_that_is_slow_is_never_seen_to_hang(settings: Settings) -> None:
    handler = Handler(lambda: time.sleep(EACH_SECONDS))
    seen = []

    def finished() -> bool:
        seen.append(part.hangs() and handler.taken > 0)
        return handler.taken == MESSAGES

    with taking(settings, handler) as part:
        until(finished)

    assert MESSAGES * EACH_SECONDS > HUNG_SECONDS * 1.5
    assert not any(seen)
    assert handler.taken == MESSAGES


@pytest.mark.usefixtures("backlog")
def test_one_that_hangs_is_seen_to(settings: Settings) -> None:
    going_on = threading.Event()
    handler = Handler(lambda: handler.taken <= 2 or going_on.wait())
    with taking(settings, handler) as part:
        until(lambda: handler.taken == 3)
        at_once = part.hangs()
        until(part.hangs, 30)
        going_on.set()

    assert not at_once


@pytest.mark.usefixtures("backlog")
def test_what_is_done_is_committed_before_a_long_page_is(
    settings: Settings, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that does not poll for five minutes is put out of its group, and its whole page would be done again."""
    monkeypatch.setattr(inbox, "_TAKE_SECONDS", 1.0)
    handler = Handler(lambda: time.sleep(EACH_SECONDS))
    with taking(settings, handler):
        committed = until(answers.committed, 60)
        until(lambda: answers.committed() == MESSAGES)

    assert committed < MESSAGES
    assert handler.taken == MESSAGES, "none was handled twice"
