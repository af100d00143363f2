"""Replay from the events topic, for the command line and for HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from application.settings import Settings
from audit.as_of import AsOf
from audit.replay import find_subject, replay
from consumers import topics
from consumers.published import MAC_SECRET, RecordMac
from consumers.topic_reader import TopicReader
from vault.vault import Vault

Replayer = Callable[..., dict[str, Any]]


def replay_source(settings: Settings, vault: Vault) -> Replayer:
    """Return ``replay(subject_id, case_id, as_of)``, which reads the topic from its start each time it is called.

    Exactly one of ``subject_id`` and ``case_id``; ``as_of`` is a position, a time, one of them as text, or ``None``.
    It raises ``NotFound``, ``InvalidInput``, ``KafkaUnavailable``, ``LogGap``.
    """
    mac = RecordMac(vault.secret(MAC_SECRET))

    def replayed(
        subject_id: UUID | None = None, case_id: UUID | None = None, as_of: int | datetime | str | None = None
    ) -> dict[str, Any]:
        moment = _moment(as_of)
        with _reader(settings, mac) as reader:
            subject = subject_id
            if subject is None:
                if case_id is None:
                    raise ValueError("a person or a case is needed")
                subject = find_subject(reader.records(), case_id)
            return replay(reader.records(), subject, case_id, moment)

    return replayed


@contextmanager
def _reader(settings: Settings, mac: RecordMac) -> Iterator[TopicReader]:
    reader = TopicReader(settings.brokers, settings.topic(topics.EVENTS), mac)
    try:
        yield reader
    finally:
        reader.close()


def _moment(as_of: int | datetime | str | None) -> AsOf:
    if isinstance(as_of, datetime):
        return AsOf(time=as_of)
    return AsOf(position=as_of) if isinstance(as_of, int) else AsOf.parse(as_of)
