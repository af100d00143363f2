"""A store restored to the past takes no write before it was compared with what is known outside."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg2.extensions import make_dsn, parse_dsn
from store_builders import command, event, fencing, history, idempotency, rows, sql, stored_ids

from domain.errors import AlreadyDone, Fenced, IdempotencyKeyReused, LogDiverged, LogGap, StoreUnavailable
from store.append import AppendCommand, Appended, Fence, NewEvent
from store.head_file import HeadFile
from store.log import EventLog
from store.migrate import migrate
from store.refill import Comparison, bring_up_to_topic

CopyOf = Callable[[str], str]


class Topic:
    """What was published: every event at its position, and the fences that each implies."""

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self._fences: dict[bytes, tuple[Fence, ...]] = {}

    def append(self, log: EventLog, *commands: AppendCommand) -> None:
        for each in commands:
            log.append(each)
            self.events += each.events
            self._fences[each.events[-1].record] = each.fences

    def tail(self, first: int) -> Iterator[tuple[int, NewEvent]]:
        return iter(list(enumerate(self.events, 1))[first - 1 :])

    def fences_of(self, record: bytes) -> tuple[Fence, ...]:
        return self._fences[record]


@pytest.fixture
def events_dsn(pg_main: str, new_database: Callable[..., str]) -> str:
    """Return the connection string of an event store in a database of its own, which can be copied whole."""
    dsn = new_database(pg_main, "store_own")
    migrate(dsn)
    with EventLog(dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)
    return dsn


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def copy_of(pg_main: str) -> Iterator[CopyOf]:
    """Give ``copy_of(dsn)``: another database with the same content, as a restored backup is."""
    made: list[str] = []

    def copy(dsn: str) -> str:
        made.append(f"store_copy_{secrets.token_hex(6)}")
        with sql(pg_main) as cursor:
            cursor.execute(f"CREATE DATABASE {made[-1]} TEMPLATE {parse_dsn(dsn)['dbname']}")
        return make_dsn(dsn, dbname=made[-1])

    yield copy
    with sql(pg_main) as cursor:
        for name in made:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_an_old_copy_is_brought_up_to_the_topic_before_it_takes_writes(
    events_dsn: str, copy_of: CopyOf, topic: Topic
) -> None:
    stream, scope = uuid4(), uuid4()
    with EventLog(events_dsn) as log:
        topic.append(log, *(history(uuid4(), 2) for _ in range(300)), history(stream, 1))
    old = copy_of(events_dsn)
    with EventLog(events_dsn) as log:
        topic.append(log, command(event(stream, 2)), fencing(scope), *(history(uuid4(), 1) for _ in range(600)))

    with EventLog(old) as log:
        admission = log.admission()
        assert (admission.head, admission.admitted) == (601, False)
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            log.append(history(uuid4(), 1))

        assert bring_up_to_topic(log, topic.tail(590), topic.fences_of) == Comparison(same=12, copied=602, end=1203)
        with pytest.raises(StoreUnavailable):
            log.append(history(uuid4(), 1))
        log.admit_writes(admission.incarnation, 1203)

        with pytest.raises(Fenced):
            log.append(command(event(uuid4(), 1), uses=frozenset({scope})))
        assert log.append(command(event(stream, 3))) == Appended((1204,))
    original, copied = stored_ids(events_dsn), stored_ids(old)
    assert {p: copied[p] for p in range(1, 1204)} == original
    whole = "SELECT md5(string_agg(concat_ws('/', position, stream_id, version, type, record), ',' ORDER BY position))"
    assert rows(old, f"{whole} FROM events WHERE position < 1204") == rows(events_dsn, f"{whole} FROM events")
    assert rows(old, "SELECT * FROM fences") == rows(events_dsn, "SELECT * FROM fences")


@pytest.mark.parametrize("change", ["record", "event_id"])
def test_a_tail_that_differs_stops_everything(events_dsn: str, copy_of: CopyOf, topic: Topic, change: str) -> None:
    with EventLog(events_dsn) as log:
        topic.append(log, history(uuid4(), 5))
    third = topic.events[2]
    topic.events[2] = NewEvent(
        uuid4() if change == "event_id" else third.event_id,
        third.stream_id,
        third.version,
        third.type,
        third.record + b" " if change == "record" else third.record,
    )

    with EventLog(copy_of(events_dsn)) as log, pytest.raises(LogDiverged) as refused:
        bring_up_to_topic(log, topic.tail(1), topic.fences_of)
    assert refused.value.position == 3


def test_a_tail_with_a_hole_or_from_beyond_the_head_is_refused(events_dsn: str, copy_of: CopyOf, topic: Topic) -> None:
    with EventLog(events_dsn) as log:
        topic.append(log, history(uuid4(), 2))
    old = copy_of(events_dsn)
    with EventLog(events_dsn) as log:
        topic.append(log, history(uuid4(), 4))

    with EventLog(old) as log:
        with pytest.raises(ValueError, match="start at the store's head"):
            bring_up_to_topic(log, topic.tail(3), topic.fences_of)
        for hole in (3, 4):
            with pytest.raises(LogGap) as gap:
                bring_up_to_topic(log, (at for at in topic.tail(2) if at[0] != hole), topic.fences_of)
            assert (gap.value.expected, gap.value.found) == (hole, hole + 1)
        assert log.head() == 2


def test_an_event_whose_stream_does_not_continue_is_refused(events_dsn: str, copy_of: CopyOf, topic: Topic) -> None:
    with EventLog(events_dsn) as log:
        topic.append(log, history(uuid4(), 2))
    topic.events.append(event(topic.events[0].stream_id, 4))

    with EventLog(copy_of(events_dsn)) as log:
        with pytest.raises(LogDiverged) as refused:
            bring_up_to_topic(log, topic.tail(1), lambda _: ())
        assert refused.value.position == 3
        assert log.head() == 2


def test_a_store_that_takes_writes_is_never_refilled(log: EventLog, topic: Topic) -> None:
    topic.append(log, history(uuid4(), 2))
    topic.events.append(event(uuid4(), 1))

    with pytest.raises(LogDiverged) as refused:
        bring_up_to_topic(log, topic.tail(2), lambda _: ())
    assert refused.value.position == 3
    with pytest.raises(StoreUnavailable, match="55006"):
        log.refill(3, [topic.events[2]], [])
    assert log.head() == 2


def test_a_shorter_or_empty_topic_is_no_obstacle(log: EventLog, topic: Topic) -> None:
    topic.append(log, history(uuid4(), 3))

    assert bring_up_to_topic(log, [*topic.tail(1)][:2], topic.fences_of) == Comparison(same=2, copied=0, end=2)
    assert bring_up_to_topic(log, [], topic.fences_of) == Comparison(same=0, copied=0, end=0)


def test_admission_is_for_one_incarnation_and_a_head_not_below_what_is_known(
    events_dsn: str, copy_of: CopyOf, topic: Topic
) -> None:
    with EventLog(events_dsn) as log:
        topic.append(log, history(uuid4(), 3))
        other = log.admission().incarnation

    with EventLog(copy_of(events_dsn)) as log:
        with pytest.raises(StoreUnavailable, match="not admitted"):
            log.admit_writes(other, 3)
        with pytest.raises(StoreUnavailable, match="known position 4"):
            log.admit_writes(log.admission().incarnation, 4)
        assert not log.admission().admitted
        log.admit_writes(log.admission().incarnation, 3)
        assert log.admission().admitted


def test_a_process_refuses_to_write_below_what_it_was_told(events_dsn: str, tmp_path: Path) -> None:
    """The head goes back under a running process: no restart, so only the process itself can know."""
    with EventLog(events_dsn, heads=tmp_path) as log, EventLog(events_dsn, heads=tmp_path) as neighbour:
        log.append(history(uuid4(), 3))
        with sql(events_dsn) as cursor:
            cursor.execute("ALTER TABLE events DISABLE TRIGGER ALL; DELETE FROM events WHERE position = 3")
            cursor.execute("UPDATE log_head SET position = 2")

        for told in (log, neighbour):
            with pytest.raises(StoreUnavailable):
                told.append(history(uuid4(), 1))
    assert sorted(stored_ids(events_dsn)) == [1, 2]


def test_head_files_are_raised_and_never_lowered(tmp_path: Path) -> None:
    log_id = uuid4()
    one, two, other = HeadFile(tmp_path, log_id), HeadFile(tmp_path, log_id), HeadFile(tmp_path, uuid4())
    assert one.position() is None

    assert one.raise_to(7) == 7
    assert two.raise_to(5) == 7
    assert two.raise_to(123_456_789_012) == 123_456_789_012
    assert (one.position(), other.position()) == (123_456_789_012, None)
    for file in (one, two, other):
        file.close()


def test_a_call_repeated_after_a_refill_gets_its_first_answer(events_dsn: str, copy_of: CopyOf, topic: Topic) -> None:
    old, stream = copy_of(events_dsn), uuid4()
    remembered = idempotency("called twice", answer={"id": str(stream)})
    carrying = event(stream, 2, record=json.dumps({"idempotency": remembered.to_json()}).encode())
    first = command(event(stream, 1), carrying, idempotency=remembered)
    with EventLog(events_dsn) as log:
        topic.append(log, first)

    with EventLog(old) as log:
        bring_up_to_topic(log, topic.tail(1), lambda record: ())
        log.admit_writes(log.admission().incarnation, 2)
        with pytest.raises(AlreadyDone) as repeated:
            log.append(command(event(uuid4(), 1), idempotency=remembered))
        with pytest.raises(IdempotencyKeyReused):
            log.append(command(event(uuid4(), 1), idempotency=idempotency("called twice", b"another body")))
    done = repeated.value
    assert (done.status, done.answer, done.position) == (201, {"id": str(stream)}, 2)
    assert rows(old, "SELECT count(*) FROM events") == [(2,)]
