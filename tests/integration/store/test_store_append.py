"""What is appended, what is refused, and that a refusal leaves nothing."""

from __future__ import annotations

import traceback
from uuid import UUID, uuid4

import psycopg2
import pytest
from store_builders import AT, command, event, fencing, history, idempotency, rows, sql, stored_ids

from domain.errors import (
    AlreadyDone,
    ConcurrencyConflict,
    EventTooLarge,
    Fenced,
    IdempotencyKeyReused,
    StoreUnavailable,
)
from domain.record import MAX_RECORD_BYTES
from store.append import AppendCommand, Appended, Fence, NewEvent
from store.appender import Appender
from store.log import EventLog


def test_positions_are_counted_from_one_over_all_streams(log: EventLog) -> None:
    stream = uuid4()

    assert log.append(history(stream, 2)) == Appended((1, 2))
    assert log.append(history(uuid4(), 1)) == Appended((3,))
    assert log.append(command(event(stream, 3))) == Appended((4,))
    assert log.head() == 4


def test_a_command_may_span_streams_and_is_read_back_byte_for_byte(log: EventLog) -> None:
    first, second = uuid4(), uuid4()
    records = ['{"name":"Zoë \\"Z\\" O\'Hara","n":"\\\\"}'.encode(), b"\x00\xff'\\\"{}", "żółć 漢字 🙂".encode()]
    events = [
        event(first, 1, record=records[0]),
        event(second, 1, record=records[1]),
        event(first, 2, record=records[2]),
    ]

    log.append(command(*events))

    read = log.read_from(1, 10)
    assert [(r.position, r.event_id, r.stream_id, r.version, r.type, r.record) for r in read] == [
        (p, e.event_id, e.stream_id, e.version, "NoteAdded", e.record) for p, e in enumerate(events, 1)
    ]
    assert [r.record for r in log.read_stream(first)] == [records[0], records[2]]
    assert [r.version for r in log.read_stream(first, after_version=1)] == [2]
    assert [r.position for r in log.read_from(2, 1)] == [2]


def test_a_conflict_on_the_second_event_leaves_nothing_of_the_command(log: EventLog, events_dsn: str) -> None:
    fresh, taken = uuid4(), uuid4()
    log.append(history(taken, 1))

    with pytest.raises(ConcurrencyConflict) as refused:
        log.append(command(event(fresh, 1), event(taken, 1), fences=(), idempotency=idempotency("k")))

    assert refused.value.stream_id == taken
    assert log.read_stream(fresh) == []
    assert log.find_idempotent("k") is None
    assert (log.head(), len(stored_ids(events_dsn))) == (1, 1)


def test_a_decision_is_refused_when_a_stream_it_only_read_has_moved(log: EventLog) -> None:
    person, case = uuid4(), uuid4()
    log.append(history(person, 1))
    decided = command(event(case, 1), reads={person: 1, case: 0})
    log.append(command(event(person, 2)))

    with pytest.raises(ConcurrencyConflict) as refused:
        log.append(decided)

    assert refused.value.stream_id == person
    assert log.read_stream(case) == []
    assert log.append(command(event(case, 1), reads={person: 2, case: 0})) == Appended((3,))


def test_a_stream_read_as_missing_must_still_be_missing(log: EventLog) -> None:
    absent = uuid4()
    decided = command(event(uuid4(), 1), reads={absent: 0})
    log.append(history(absent, 1))

    with pytest.raises(ConcurrencyConflict):
        log.append(decided)


@pytest.mark.parametrize("version", [2, 3])
def test_versions_cannot_leave_a_gap(log: EventLog, version: int) -> None:
    with pytest.raises(ConcurrencyConflict):
        log.append(command(event(uuid4(), version)))


def test_nothing_sealed_to_a_fenced_person_or_scope_is_appended(log: EventLog) -> None:
    scope, person, other = uuid4(), uuid4(), uuid4()
    certificate = uuid4()
    fences = (Fence(scope, "scope", certificate, AT), Fence(person, "subject", certificate, AT))
    log.append(command(event(uuid4(), 1), fences=fences, uses=frozenset({scope, other})))

    with pytest.raises(Fenced) as refused:
        log.append(command(event(uuid4(), 1), uses=frozenset({person, other, scope})))

    assert set(refused.value.fenced) == {scope, person}
    assert log.fenced([scope, other]) == {scope: fences[0]}
    assert log.append(command(event(uuid4(), 1), uses=frozenset({other}))) == Appended((2,))


def test_a_fence_stands_as_it_was_first_made(log: EventLog) -> None:
    scope = uuid4()
    first = fencing(scope)
    log.append(first)
    log.append(fencing(scope))

    assert log.fenced([scope]) == {scope: first.fences[0]}


def test_the_same_command_again_is_recognised_by_its_event_ids(log: EventLog) -> None:
    stream = uuid4()
    appended = history(stream, 2)
    log.append(history(uuid4(), 1))
    first = log.append(appended)
    log.append(command(event(stream, 3)))

    assert log.append(appended) == first == Appended((2, 3))
    assert log.head() == 4


def test_a_known_event_id_with_other_bytes_is_a_conflict(log: EventLog) -> None:
    stream = uuid4()
    log.append(command(known := event(stream, 1)))
    other_bytes = event(stream, 1, event_id=known.event_id, record=b"{}")

    for changed in (command(other_bytes), command(known, event(stream, 2))):
        with pytest.raises(ConcurrencyConflict):
            log.append(changed)
    assert log.head() == 1


def test_an_idempotency_key_answers_the_first_answer(log: EventLog) -> None:
    record = idempotency("key", answer={"id": "c7"})
    log.append(history(uuid4(), 3))
    log.append(command(event(uuid4(), 1), idempotency=record))

    with pytest.raises(AlreadyDone) as again:
        log.append(command(event(uuid4(), 1), idempotency=idempotency("key")))

    assert (again.value.status, again.value.answer, again.value.position) == (201, {"id": "c7"}, 4)
    remembered = log.find_idempotent("key")
    assert remembered is not None
    assert (remembered.body_mac, remembered.mac_key_id, remembered.position) == (record.body_mac, "day-1", 4)
    with pytest.raises(IdempotencyKeyReused):
        log.append(command(event(uuid4(), 1), idempotency=idempotency("key", b"other body")))
    with pytest.raises(StoreUnavailable, match="MAC key"):
        log.append(command(event(uuid4(), 1), idempotency=idempotency("key", mac_key_id="day-2")))
    assert log.head() == 4


def test_a_refusal_can_be_remembered_without_events(log: EventLog) -> None:
    log.append(history(uuid4(), 2))
    refusal = command(idempotency=idempotency("message"))

    assert log.append(refusal) == Appended(())
    with pytest.raises(AlreadyDone) as again:
        log.append(command(event(uuid4(), 1), idempotency=idempotency("message")))
    assert again.value.position == 2


def test_a_record_over_the_limit_is_refused_with_its_size(log: EventLog) -> None:
    largest = event(uuid4(), 1, record=b"x" * MAX_RECORD_BYTES)

    assert log.append(command(largest)) == Appended((1,))
    assert log.read_from(1, 1)[0].record == largest.record
    with pytest.raises(EventTooLarge) as refused:
        event(uuid4(), 1, record=b"x" * (MAX_RECORD_BYTES + 1))
    assert (refused.value.size, refused.value.limit) == (524_289, 524_288)


STREAM, EVENT = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: command(event(STREAM, 1), event(STREAM, 3)),
        lambda: command(event(STREAM, 2), event(STREAM, 1)),
        lambda: command(event(STREAM, 1, event_id=EVENT), event(STREAM, 2, event_id=EVENT)),
        lambda: command(event(STREAM, 2), reads={STREAM: 2}),
        lambda: command(fences=(Fence(EVENT, "scope", EVENT, AT),)),
        lambda: command(event(STREAM, 1), reads={EVENT: -1}),
        lambda: event(STREAM, 2**31),
        lambda: NewEvent(EVENT, STREAM, 1, "Note\0Added", b"{}"),
        lambda: Fence(EVENT, "case", EVENT, AT),
        lambda: Fence(EVENT, "scope", EVENT, AT.replace(tzinfo=None)),
        lambda: idempotency("key\ud800"),
    ],
)
def test_a_command_that_contradicts_itself_cannot_be_made(make: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make()  # type: ignore[operator]


def committed_together(dsn: str, *commands: AppendCommand) -> list[object]:
    """Commit commands as one batch, in this order, as they might meet in the combining thread."""
    appender = Appender(dsn, None)
    try:
        return list(appender.commit(commands))
    finally:
        appender.close()


def kinds(outcomes: list[object]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_in_one_batch_a_command_sees_what_those_before_it_did(events_dsn: str) -> None:
    stream, scope = uuid4(), uuid4()
    outcomes = committed_together(
        events_dsn,
        history(stream, 1),
        history(stream, 1),
        command(event(stream, 2)),
        command(event(uuid4(), 1), reads={stream: 1}),
        fencing(scope),
        command(event(uuid4(), 1), uses=frozenset({scope})),
        command(event(uuid4(), 1), idempotency=idempotency("k")),
        command(event(uuid4(), 1), idempotency=idempotency("k")),
        command(event(uuid4(), 1), idempotency=idempotency("k", b"other")),
    )

    conflict, fenced = "ConcurrencyConflict", "Fenced"
    assert kinds(outcomes) == [
        *("Appended", conflict, "Appended", conflict, "Appended", fenced, "Appended", "AlreadyDone"),
        "IdempotencyKeyReused",
    ]
    assert sorted(stored_ids(events_dsn)) == [1, 2, 3, 4]


def test_in_one_batch_the_refused_do_not_hold_back_the_others(events_dsn: str) -> None:
    taken, behind_refused = uuid4(), uuid4()
    committed_together(events_dsn, history(taken, 1))

    outcomes = committed_together(
        events_dsn,
        command(event(behind_refused, 1), event(taken, 1)),
        history(behind_refused, 2),
        history(uuid4(), 1),
    )

    assert kinds(outcomes) == ["ConcurrencyConflict", "Appended", "Appended"]
    assert rows(events_dsn, "SELECT position FROM events WHERE stream_id = %s", str(behind_refused)) != []
    assert sorted(stored_ids(events_dsn)) == [1, 2, 3, 4]


def test_a_batch_that_the_database_refuses_is_tried_one_by_one(events_dsn: str) -> None:
    same_id = uuid4()

    outcomes = committed_together(
        events_dsn,
        history(uuid4(), 1),
        command(event(uuid4(), 1, event_id=same_id)),
        command(event(uuid4(), 1, event_id=same_id)),
    )

    assert kinds(outcomes) == ["Appended", "Appended", "ConcurrencyConflict"]
    assert sorted(stored_ids(events_dsn)) == [1, 2]


@pytest.mark.parametrize("table", ["events", "fences"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET position = position", "DELETE FROM {}", "TRUNCATE {}"])
def test_events_and_fences_cannot_be_changed(log: EventLog, events_dsn: str, table: str, statement: str) -> None:
    log.append(fencing(uuid4()))

    with sql(events_dsn) as cursor, pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
        cursor.execute(statement.format(table))
    assert rows(events_dsn, f"SELECT count(*) FROM {table}") == [(1,)]


def test_errors_never_carry_what_the_server_says_about_a_row(log: EventLog, events_dsn: str) -> None:
    with sql(events_dsn) as cursor:
        cursor.execute("ALTER TABLE events ADD CHECK (type <> 'Canary5f1c')")
        with pytest.raises(psycopg2.IntegrityError, match="Canary5f1c"):
            cursor.execute("INSERT INTO events VALUES (9, gen_random_uuid(), gen_random_uuid(), 1, 'Canary5f1c', '')")
    marked = NewEvent(uuid4(), uuid4(), 1, "Canary5f1c", b"Canary5f1c")

    with pytest.raises(StoreUnavailable) as refused:
        log.append(command(marked))

    printed = "".join(traceback.format_exception(refused.value))
    assert "SQLSTATE 23514" in printed
    assert "Canary5f1c" not in printed
    assert marked.record.hex() not in printed
