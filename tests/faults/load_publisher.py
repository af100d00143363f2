"""A publishing service that uses the client library: it publishes again what got no outcome, and keeps a journal."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from at_work import AtWork
from load_copy import RunningCopy
from load_journal import Journal

from application.examples import BODIES
from casekeeper_client import Accepted, Client, NoOutcome

_BATCH = 6
_OPEN_BATCHES = 12
_PAUSE_SECONDS = 0.25
_LAST_SECONDS = 60.0
Data = Mapping[str, Any]


class Publisher(AtWork):
    """Publishes batches of commands until told to stop, then waits until each has its outcome."""

    def __init__(
        self, copy: RunningCopy, api_port: int, journal: Journal, chance: random.Random, stop: threading.Event
    ) -> None:
        super().__init__("publisher")
        self._journal = journal
        self._chance = chance
        self._stopping = stop
        registered = json.loads(copy.command("actors", "add", "--service", "forms", "--json"))
        inbox_key, outcome_keys = (
            json.loads(urllib.request.urlopen(f"http://127.0.0.1:{api_port}/v1/{name}", timeout=10).read())
            for name in ("inbox-key", "outcome-keys")
        )
        self._client = Client(
            copy.settings.kafka,
            inbox_key=inbox_key,
            publisher_id=registered["publisher_id"],
            private_key=registered["private_key"],
            topic_prefix=copy.settings.topic_prefix,
            outcome_keys=outcome_keys,
        )
        self._open: deque[tuple[list[str], list[tuple[str, Data]]]] = deque()
        self._people: list[str] = []
        self._cases: list[str] = []

    def work(self) -> None:
        """Publish, and collect outcomes meanwhile."""
        try:
            while not self._stopping.is_set():
                if len(self._open) < _OPEN_BATCHES:
                    self.publish([self._command() for _ in range(_BATCH)])
                self.collect(_PAUSE_SECONDS)
            deadline = time.monotonic() + _LAST_SECONDS
            while self._open and time.monotonic() < deadline:
                self.collect(1.0)
            for ids, commands in list(self._open):
                self._send(ids, commands)
            while self._open:
                assert self.collect(_LAST_SECONDS), "messages without an outcome"
        finally:
            self.close()

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def publish(self, commands: list[tuple[str, Data]]) -> None:
        """Publish commands, some of them twice under the same ids."""
        ids = [str(uuid4()) for _ in commands]
        self._send(ids, commands)
        if self._chance.random() < 0.2:
            self._send(ids, commands)
        self._open.append((ids, commands))

    def _send(self, ids: list[str], commands: list[tuple[str, Data]]) -> None:
        for mark, (name, data) in zip(ids, commands, strict=True):
            self._journal.note("sent", mark, command=name)
            purpose = "rights" if name in ("grant_consent", "receive_request") else "intake"
            self._client.publish(name, data, message_id=mark, actor=f"m-{mark}", purpose=purpose)

    def collect(self, timeout: float) -> bool:
        """Wait for the outcomes of the oldest batch, at most ``timeout`` seconds; return whether they came."""
        if not self._open:
            time.sleep(timeout)
            return False
        ids, commands = self._open[0]
        try:
            outcomes = self._client.wait_for_outcomes(ids, timeout)
        except NoOutcome:
            return False
        self._open.popleft()
        for mark, (name, _), outcome in zip(ids, commands, outcomes, strict=True):
            if isinstance(outcome, Accepted):
                self._journal.note("answered", mark, receipt=outcome.answer["receipt"])
                known = {"register_subject": self._people, "open_case": self._cases}.get(name, [])
                known.append(str(outcome.id))
            else:
                self._journal.note("refused", mark, type=outcome.type)
        return True

    def _command(self) -> tuple[str, Data]:
        """Return a command; now and then one that is refused, for it is about a person whom there is not."""
        kind = self._chance.random()
        person = self._chance.choice(self._people) if self._people and kind > 0.05 else str(uuid4())
        if kind < 0.3 or not self._people:
            return "register_subject", BODIES["register_subject"]
        if kind < 0.6 or not self._cases:
            return "open_case", {"subject_id": person, "kind": "care_coordination"}
        if kind < 0.9:
            return "submit_intake", {**BODIES["submit_intake"], "case_id": self._chance.choice(self._cases)}
        return "receive_request", {**BODIES["receive_request"], "right": "access", "subject_id": person}
