"""What became of messages, read from the outcomes topic by a thread of its own.

What is not signed by the service, not addressed to this publisher, or no answer to a record that is still unanswered is
passed over. What names a key that is not known is held until the keys were had again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError

from casekeeper_client.batches import reading_on
from casekeeper_client.errors import NoOutcome, OutcomeKeysUnavailable
from casekeeper_client.fetching import Unfetched
from casekeeper_client.opening import opened
from casekeeper_client.outcome_keys import OutcomeKeys
from casekeeper_client.outcome_types import Outcome
from casekeeper_client.verifying import Claim, NoClaim, claimed

_POLL_MS = 200
_CLOSE_MS = 1_000
_READY_MS = 10_000
_HELD_BYTES = 32 * 1024 * 1024
"""Most that is held until keys were had again; beyond, the record that was held longest is passed over."""


@dataclass
class _Awaited:
    """A message, and each record it was published in since it was last answered.

    ``keys_away``: something is held for it, and the keys could not be had.
    """

    records_sha256: set[str] = field(default_factory=set)
    outcome: Outcome | None = None
    keys_away: bool = False


class Outcomes:
    """Collects the outcomes of the messages it was told to expect. Threads may share it."""

    def __init__(
        self,
        bootstrap: Sequence[str],
        topic: str,
        publisher_id: str,
        keys: OutcomeKeys,
        options: Mapping[str, Any],
    ) -> None:
        self.passed_over = 0
        self._publisher_id = publisher_id
        self._keys = keys
        self._held: deque[tuple[_Awaited, Claim]] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._expected: dict[str, _Awaited] = {}
        self._stopping = threading.Event()
        made = opened(
            KafkaConsumer,
            bootstrap_servers=list(bootstrap),
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            auto_offset_reset="latest",
            **options,
        )
        self._consumer = reading_on(made)
        try:
            self._start_at_end(topic)
        except BaseException:
            self._consumer.close(timeout_ms=_CLOSE_MS)
            raise
        self._thread = threading.Thread(target=self._read, name="casekeeper outcomes", daemon=True)
        self._thread.start()

    def expect(self, message_id: str, message: bytes) -> None:
        """Collect the outcome of a message that is about to be published; one that came already is dropped.

        ``message``: the record as it is published, signed and encrypted. While there is no outcome, an answer to an
        earlier record of the message counts as well.
        """
        with self._changed:
            awaited = self._expected.get(message_id)
            if awaited is None or awaited.outcome is not None:
                awaited = self._expected[message_id] = _Awaited()
            awaited.records_sha256.add(hashlib.sha256(message).hexdigest())

    def wait(self, message_ids: Iterable[str], timeout: float) -> list[Outcome]:
        """Return the outcomes of expected messages in the order given; ``timeout`` in seconds for all together.

        Raises ``NoOutcome`` naming those without one; the others can be waited for again. It is
        ``OutcomeKeysUnavailable`` where there is something for one of them that cannot be verified now.
        """
        wanted = list(message_ids)
        deadline = time.monotonic() + timeout
        with self._changed:
            while missing := [i for i in wanted if self._outcome(i) is None]:
                left = deadline - time.monotonic()
                if left <= 0:
                    away = any(i in self._expected and self._expected[i].keys_away for i in missing)
                    raise OutcomeKeysUnavailable(missing) if away else NoOutcome(missing)
                self._changed.wait(left)
            found = [outcome for i in wanted if (outcome := self._outcome(i)) is not None]
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
            self._judge_held()

    def _pass_over(self) -> None:
        """Go on at the topic's present end: a record that the library cannot read would be met for ever.

        An outcome passed over with it is missing; its message can be published again, as after any ``NoOutcome``.
        Where the ends cannot be had now, the record is met again after a pause, and they are asked for again.
        """
        try:
            ends = self._consumer.end_offsets(list(self._consumer.assignment()), timeout_ms=_READY_MS)
        except KafkaError:
            self._stopping.wait(_POLL_MS / 1000)
            return
        for partition, end in ends.items():
            self._consumer.seek(partition, end)

    def _outcome(self, message_id: str) -> Outcome | None:
        awaited = self._expected.get(message_id)
        return None if awaited is None else awaited.outcome

    def _take(self, value: bytes | None) -> None:
        try:
            claim = claimed(value)
        except NoClaim:
            self.passed_over += 1
            return
        if claim.publisher_id != self._publisher_id:
            return
        with self._changed:
            awaited = self._expected.get(claim.message_id)
            if awaited is None or awaited.outcome is not None or claim.message_sha256 not in awaited.records_sha256:
                return
        if self._keys.find(claim.kid) is None:
            self._hold(awaited, claim)
        else:
            self._judge(awaited, claim)

    def _judge(self, awaited: _Awaited, claim: Claim) -> None:
        """Believe a claim under a known key, or pass it over."""
        key = self._keys.find(claim.kid)
        outcome = None if key is None else claim.verified(key)
        if outcome is None:
            self.passed_over += 1
            return
        with self._changed:
            awaited.outcome = awaited.outcome or outcome
            self._changed.notify_all()

    def _hold(self, awaited: _Awaited, claim: Claim) -> None:
        self._held.append((awaited, claim))
        self._held_bytes += claim.size
        while self._held_bytes > _HELD_BYTES:
            self._held_bytes -= self._held.popleft()[1].size
            self.passed_over += 1

    def _judge_held(self) -> None:
        """Have the keys again where something is held, as soon as that may be; then hold nothing any longer."""
        if not self._held:
            return
        away = False
        try:
            if not self._keys.renew():
                return
        except Unfetched:
            away = True
        with self._changed:
            for awaited, _ in self._held:
                awaited.keys_away = away
        if not away:
            held, self._held, self._held_bytes = self._held, deque(), 0
            for awaited, claim in held:
                self._judge(awaited, claim)
