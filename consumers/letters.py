"""Reads the topic of dead letters: what the inbox set aside, as far as it is ours to tell and nobody's content.

The topic can be written to by whoever may; so nothing of a record is passed on that has not the form we write.
"""

from __future__ import annotations

import builtins
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from application import metrics
from application.settings import Settings
from consumers import topics
from consumers.clients import CLOSE_MS, REQUEST_MS, consumer, kafka_errors
from domain.vocabulary import VIEWS

_POLL_MS = 500
_PLACE = re.compile(r"[A-Za-z0-9_.-]{1,64}/[a-z0-9_]{1,64}\.py:\d{1,6}|unknown")
_PYTHON_ERRORS = frozenset(name for name, value in vars(builtins).items() if isinstance(value, type))


@dataclass(frozen=True)
class Letter:
    """One dead letter of the inbox.

    ``number``: its offset, by which it is named. ``source``: ``topic/partition/offset`` of the message. ``error``: an
    error's class, ``place`` where in the code it was raised. ``size``: bytes kept of the message; ``None`` when no
    key of ours opened it, or something in it was in clear, and so it is not kept.
    """

    number: int
    at: datetime
    source: str
    error: str
    place: str
    size: int | None


@dataclass(frozen=True)
class Letters:
    """The newest dead letters of the inbox, oldest first; how many older ones there are; how many records are none."""

    items: tuple[Letter, ...]
    older: int
    foreign: int


def inbox_letters(settings: Settings, limit: int, number: int | None = None) -> Letters:
    """Return the newest ``limit`` dead letters of the inbox, or the one with this number alone.

    Raises ``KafkaUnavailable``. Reads the whole topic, and holds none of its contents for longer than it takes.
    """
    partition = TopicPartition(settings.topic(topics.DEADLETTERS), 0)
    ours = re.compile(re.escape(settings.topic(topics.INBOX)) + r"/\d{1,4}/\d{1,19}")
    of_views = re.compile(rf"({'|'.join(sorted(VIEWS))})/\d{{1,19}}")
    newest: deque[Letter] = deque(maxlen=limit)
    seen = foreign = 0
    reader = consumer(settings.brokers, auto_offset_reset="none")
    try:
        with kafka_errors():
            for message in _messages(reader, partition, number):
                source = _header(message, "ck-source")
                letter = _letter(message, source) if ours.fullmatch(source) else None
                if letter is not None:
                    newest.append(letter)
                    seen += 1
                elif not of_views.fullmatch(source):
                    foreign += 1
    finally:
        reader.close(timeout_ms=CLOSE_MS)
    return Letters(tuple(newest), seen - len(newest), foreign)


def _messages(reader: KafkaConsumer, partition: TopicPartition, number: int | None) -> Any:
    reader.assign([partition])
    begin = reader.beginning_offsets([partition], timeout_ms=REQUEST_MS)[partition]
    end = reader.end_offsets([partition], timeout_ms=REQUEST_MS)[partition]
    if number is not None:
        begin, end = (number, number + 1) if begin <= number < end else (end, end)
    if begin >= end:
        return
    reader.seek(partition, begin)
    while reader.position(partition, timeout_ms=REQUEST_MS) < end:
        for message in reader.poll(timeout_ms=_POLL_MS).get(partition, ()):
            if message.offset < end:
                yield message


def _letter(message: Any, source: str) -> Letter | None:
    """Return a record as a dead letter, or ``None`` when it has not the form of one."""
    error, place = _header(message, "ck-error"), _header(message, "ck-where")
    if not _PLACE.fullmatch(place):
        return None
    named = error if error in metrics.ERROR.values or error in _PYTHON_ERRORS else metrics.OTHER
    size = len(message.value) if message.value else None
    return Letter(message.offset, datetime.fromtimestamp(message.timestamp / 1000, UTC), source, named, place, size)


def _header(message: Any, name: str) -> str:
    """Return a header's text; empty where it is missing, comes twice or is no ASCII."""
    values = [value for key, value in message.headers or () if key == name]
    try:
        return values[0].decode("ascii") if len(values) == 1 and values[0] is not None else ""
    except UnicodeDecodeError:
        return ""
