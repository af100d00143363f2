"""What became of messages, read from the outcomes topic by a thread of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError

from casekeeper_client.errors import NoOutcome
from casekeeper_client.opening import opened

_POLL_MS = 200
_CLOSE_MS = 1_000
_READY_MS = 10_000


@dataclass(frozen=True)
class Accepted:
    """The command was carried out. ``answer`` is what HTTP would have answered: identifiers and the receipt."""

    message_id: str
    answer: Mapping[str, Any]

    @property
    def id(self) -> str | None:
        """Return the identifier of what was made, if something was."""
        return self.answer.get("id")

    @property
    def position(self) -> int:
        """Return the position in the log; views that have reached it show the effect."""
        return int(self.answer["receipt"]["position"])


@dataclass(frozen=True)
class Rejected:
    """The command was refused and had no effect. ``problem`` is a problem document (RFC 9457)."""

    message_id: str
    problem: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Return the problem's stable URN, as ``urn:casekeeper:problem:consent-withdrawn``."""
        return str(self.problem["type"])

    @property
    def title(self) -> str:
        """Return the problem in words."""
        return str(self.problem["title"])


Outcome = Accepted | Rejected


class Outcomes:
    """Collects the outcomes of the messages it was told to expect. Threads may share it."""

    def __init__(self, bootstrap: Sequence[str], topic: str, publisher_id: str, options: Mapping[str, Any]) -> None:
        self._publisher_id = publisher_id
        self._changed = threading.Condition()
        self._expected: dict[str, Outcome | None] = {}
        self._stopping = threading.Event()
        self._consumer = opened(
            KafkaConsumer,
            bootstrap_servers=list(bootstrap),
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            auto_offset_reset="latest",
            **options,
        )
        try:
            self._start_at_end(topic)
        except BaseException:
            self._consumer.close(timeout_ms=_CLOSE_MS)
            raise
        self._thread = threading.Thread(target=self._read, name="casekeeper outcomes", daemon=True)
        self._thread.start()

    def expect(self, message_id: str) -> None:
        """Collect the outcome of a message that is about to be published; one of an earlier publication is dropped."""
        with self._changed:
            self._expected[message_id] = None

    def wait(self, message_ids: Iterable[str], timeout: float) -> list[Outcome]:
        """Return the outcomes of expected messages in the order given; ``timeout`` in seconds for all together.

        Raises ``NoOutcome`` naming those without one; the others can be waited for again.
        """
        wanted = list(message_ids)
        deadline = time.monotonic() + timeout
        with self._changed:
            while missing := [i for i in wanted if self._expected.get(i) is None]:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NoOutcome(missing)
                self._changed.wait(left)
            found = [outcome for i in wanted if (outcome := self._expected[i]) is not None]
            for message_id in set(wanted):
                del self._expected[message_id]
        return found

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self._consumer.close(timeout_ms=_CLOSE_MS)

    def _start_at_end(self, topic: str) -> None:
        """Take up the topic's present end before anything is published, so that no outcome is missed."""
        numbers = self._consumer.partitions_for_topic(topic) or set()
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._consumer.assign(partitions)
        for partition, end in self._consumer.end_offsets(partitions, timeout_ms=_READY_MS).items():
            self._consumer.seek(partition, end)

    def _read(self) -> None:
        while not self._stopping.is_set():
            try:
                pages = self._consumer.poll(timeout_ms=_POLL_MS)
            except (CorruptRecordError, UnsupportedCodecError):
                self._pass_over()
                continue
            except KafkaError:
                self._stopping.wait(_POLL_MS / 1000)
                continue
            for page in pages.values():
                for message in page:
                    self._take(message.value)

    def _pass_over(self) -> None:
        """Go on at the topic's present end: a record that the library cannot read would be met for ever.

        An outcome passed over with it is missing; its message can be published again, as after any ``NoOutcome``.
        """
        with suppress(KafkaError):
            for partition, end in self._consumer.end_offsets(
                list(self._consumer.assignment()), timeout_ms=_READY_MS
            ).items():
                self._consumer.seek(partition, end)

    def _take(self, value: bytes | None) -> None:
        read = _outcome(value, self._publisher_id)
        if read is None:
            return
        with self._changed:
            if read.message_id in self._expected and self._expected[read.message_id] is None:
                self._expected[read.message_id] = read
                self._changed.notify_all()


def _outcome(value: bytes | None, publisher_id: str) -> Outcome | None:
    """Return an outcome for this publisher; ``None`` for anything else that lies on the topic."""
    try:
        said = json.loads(value or b"")
        if said["publisher_id"] != publisher_id:
            return None
        message_id, status = said["message_id"], said["status"]
        if status == "accepted" and isinstance(said["answer"]["receipt"]["position"], int):
            return Accepted(str(message_id), said["answer"])
        if status == "rejected" and all(isinstance(said["problem"][name], str) for name in ("type", "title")):
            return Rejected(str(message_id), said["problem"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None
