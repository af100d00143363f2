"""The independent check, shown a whole copy, and the same copy with one thing damaged at a time."""

from __future__ import annotations

import copy as copying
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from independent_check import Message, Row, Seen, faults

ADA, CASE, NOTE, TASK = (f"{n}0000000-0000-4000-8000-000000000000" for n in "abcd")
CONSENT, REQUEST, SCOPE = (f"{n}0000000-0000-4000-8000-000000000000" for n in "ef1")
HTTP = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(9)]
BY_MESSAGE, REJECTED = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"


def event(number: int) -> str:
    return f"99999999-0000-4000-8000-{number:012}"


def part(subject: str) -> dict[str, str]:
    return {"subject_id": subject, "category": "medical", "scope_id": SCOPE, "value": "ck1.AAAA"}


# (type, stream, version, producer, mark, data, sealed)
STORY: list[tuple[str, str, int, str, str, dict[str, Any], dict[str, Any]]] = [
    ("SubjectRegistered", ADA, 1, "api", HTTP[0], {"language": "en"}, {"identity": part(ADA)}),
    ("NoticeServed", ADA, 2, "api", HTTP[0], {}, {}),
    ("CaseOpened", CASE, 1, "inbox", BY_MESSAGE, {"kind": "second_opinion"}, {}),
    ("NoteAdded", CASE, 2, "api", HTTP[1], {"note_id": NOTE}, {"note": part(ADA)}),
    ("TaskAdded", CASE, 3, "api", HTTP[2], {"task_id": TASK}, {"title": part(ADA)}),
    ("CaseAssigned", CASE, 4, "api", HTTP[3], {"assignee": "a1"}, {}),
    ("ConsentGranted", ADA, 3, "api", HTTP[4], {"consent_id": CONSENT}, {}),
    ("RightsRequestReceived", ADA, 4, "api", HTTP[5], {"request_id": REQUEST, "right": "erasure", "due": "2030"}, {}),
    ("ErasureApproved", ADA, 5, "api", HTTP[6], {"request_id": REQUEST}, {}),
    ("ErasureFenced", ADA, 6, "saga", HTTP[8], {"request_id": REQUEST, "whole_person": True}, {}),
    ("ErasureDrained", ADA, 7, "saga", HTTP[8], {"request_id": REQUEST}, {}),
    (
        "ErasureKeysDestroyed",
        ADA,
        8,
        "saga",
        HTTP[8],
        {"request_id": REQUEST, "whole_person": True, "scope_ids": [SCOPE]},
        {},
    ),
    ("ErasureCertified", ADA, 9, "saga", HTTP[8], {"request_id": REQUEST}, {}),
]
VIEWS: dict[str, dict[str, Any]] = {
    "people": {ADA: {"state": "erased", "language": "en", "identity": "erased"}},
    "worklist": {CASE: {"subject": ADA, "kind": "second_opinion", "state": "open", "assignee": "a1", "open_tasks": 1}},
    "case_page": {
        ADA: {"identity": "erased"},
        CASE: {"subject": ADA, "kind": "second_opinion", "state": "open", "assignee": "a1", "reason": None},
        NOTE: {"case": CASE, "author": "p", "note": "erased"},
        TASK: {"case": CASE, "done": False, "title": "erased"},
    },
    "consents": {CONSENT: {"subject": ADA, "state": "granted", "fenced": True}},
    "disclosures": {},
    "recipients": {},
    "requests": {REQUEST: {"subject": ADA, "right": "erasure", "state": "certified", "due": "2030"}},
    "search_index": {ADA: {"subject": ADA, "value": "erased", "erased_and_tagged": False}},
    "forget": {REQUEST: {"subject": ADA, "step": "certified"}},
}


def row(position: int) -> Row:
    type_, stream, version, producer, mark, data, sealed = STORY[position - 1]
    record = {
        "event_id": event(position),
        "type": type_,
        "stream_id": stream,
        "stream_version": version,
        "actor": {"id": f"m-{mark}" if producer == "inbox" else "p"},
        "producer": producer,
        "correlation_id": mark,
        "subject_ids": [ADA],
        "data": data,
        "sealed": sealed,
    }
    return Row(position, event(position), stream, version, type_, json.dumps(record).encode())


def message(of: Row) -> Message:
    return Message(of.stream_id.encode(), of.record, (("ck-position", str(of.position).encode()), ("ck-mac", b"00")))


def receipt(*positions: int) -> dict[str, Any]:
    last = row(positions[-1])
    ids = [event(position) for position in positions]
    return {"event_ids": ids, "stream": last.stream_id, "version": last.version, "position": last.position}


@pytest.fixture
def seen() -> Seen:
    rows = [row(position) for position in range(1, len(STORY) + 1)]
    asked = {HTTP[0]: receipt(1, 2), **{HTTP[n]: receipt(n + 3) for n in range(1, 7)}}
    journal = [{"what": "sent", "door": "http", "mark": mark} for mark in HTTP[:8]]
    journal += [{"what": "answered", "door": "http", "mark": mark, "receipt": said} for mark, said in asked.items()]
    journal.append({"what": "lost", "door": "http", "mark": HTTP[7]})
    journal += [{"what": "sent", "door": "inbox", "mark": mark} for mark in (BY_MESSAGE, REJECTED)]
    journal.append({"what": "answered", "door": "inbox", "mark": BY_MESSAGE, "receipt": receipt(3)})
    journal.append({"what": "refused", "door": "inbox", "mark": REJECTED})
    accepted = {"message_id": BY_MESSAGE, "status": "accepted", "answer": {"receipt": receipt(3)}}
    rejected = {"message_id": REJECTED, "status": "rejected", "problem": {"type": "urn:x"}}
    outcomes = [accepted, rejected, copying.deepcopy(accepted)]
    positions = dict.fromkeys(VIEWS, len(rows))
    return Seen(rows, [message(r) for r in rows], outcomes, copying.deepcopy(VIEWS), positions, 0, journal)


def without(sequence: Any, number: int) -> list[Any]:
    return [thing for n, thing in enumerate(sequence) if n != number]


def swapped(sequence: Any, one: int, other: int) -> list[Any]:
    changed = list(sequence)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def changed_view(seen: Seen, view: str, key: str, **facts: Any) -> Seen:
    seen.views[view][key].update(facts)  # type: ignore[index]
    return seen


def journal(seen: Seen, **line: Any) -> Seen:
    return replace(seen, journal=[*seen.journal, line])


def again(of: Row) -> Row:
    """Return the same effect once more: another event at the end of the log and of its stream."""
    record = {**json.loads(of.record), "event_id": event(500), "stream_version": 5}
    return Row(13, event(500), of.stream_id, 5, of.type, json.dumps(record).encode())


def with_row(seen: Seen, extra: Row) -> Seen:
    positions = dict.fromkeys(seen.positions, 13)
    return replace(seen, rows=[*seen.rows, extra], topic=[*seen.topic, message(extra)], positions=positions)


def other_bytes(sent: Message) -> Message:
    return replace(sent, value=sent.value.replace(b'"p"', b'"q"'))


def with_other_headers(sent: Message) -> Message:
    return replace(sent, headers=(sent.headers[0], ("ck-mac", b"11")))


def test_a_whole_copy_has_no_faults(seen: Seen) -> None:
    assert faults(seen) == []


def test_exact_copies_of_earlier_records_are_no_fault(seen: Seen) -> None:
    repeated = [*seen.topic[:5], *seen.topic[2:5], *seen.topic[5:], *seen.topic[-2:]]
    assert faults(replace(seen, topic=repeated)) == []


def test_a_command_never_acknowledged_may_be_there_once(seen: Seen) -> None:
    assert faults(replace(seen, journal=[line for line in seen.journal if line.get("receipt") != receipt(4)])) == []


DAMAGES: dict[str, tuple[Callable[[Seen], Seen], str]] = {
    "a record dropped from the store": (lambda s: replace(s, rows=without(s.rows, 3)), "positions are not 1 to n"),
    "a record dropped from the topic": (lambda s: replace(s, topic=without(s.topic, 3)), "position 5 comes after 3"),
    "the topic's end missing": (lambda s: replace(s, topic=s.topic[:-1]), "topic: has 12 positions, the store 13"),
    "the store's end missing": (lambda s: replace(s, rows=s.rows[:-1]), "topic: has 13 positions, the store 12"),
    "two positions swapped on the topic": (
        lambda s: replace(s, topic=swapped(s.topic, 3, 4)),
        "position 5 comes after 3",
    ),
    "two records swapped in the store": (
        lambda s: replace(s, rows=[*s.rows[:3], replace(row(5), position=4), replace(row(4), position=5), *s.rows[5:]]),
        "stream b",
    ),
    "bytes that differ": (
        lambda s: replace(s, topic=[*s.topic[:3], other_bytes(s.topic[3]), *s.topic[4:]]),
        "topic: position 4 is not what the store has",
    ),
    "a copy with other bytes": (
        lambda s: replace(s, topic=[*s.topic, other_bytes(s.topic[3])]),
        "position 4 comes again and differs",
    ),
    "a copy with other headers": (
        lambda s: replace(s, topic=[*s.topic, with_other_headers(s.topic[3])]),
        "position 4 comes again and differs",
    ),
    "an event id twice": (
        lambda s: replace(s, rows=[*s.rows[:11], replace(s.rows[11], event_id=event(1))]),
        f"event {event(1)} is there 2 times",
    ),
    "a column that differs from its record": (
        lambda s: replace(s, rows=[replace(s.rows[0], type="NoticeServed"), *s.rows[1:]]),
        "position 1 differs from its record",
    ),
    "an effect done twice": (
        lambda s: with_row(s, again(s.rows[5])),
        f"command {HTTP[3]}: its receipt names 1 events, it has 2",
    ),
    "an effect done twice that was never acknowledged": (
        lambda s: with_row(
            replace(s, journal=[line for line in s.journal if line.get("receipt") != receipt(6)]), again(s.rows[5])
        ),
        f"command {HTTP[3]}: never acknowledged, and done more than once",
    ),
    "something acknowledged that is not there": (
        lambda s: journal(s, what="answered", door="http", mark=HTTP[7], receipt=receipt(4)),
        f"command {HTTP[7]}: its receipt names 1 events, it has 0",
    ),
    "something nobody asked for": (
        lambda s: replace(s, journal=[line for line in s.journal if line["mark"] != HTTP[2]]),
        f"command {HTTP[2]}: nobody asked for it",
    ),
    "a receipt with another position": (
        lambda s: replace(
            s,
            journal=[
                {**line, "receipt": {**receipt(4), "position": 5}} if line.get("receipt") == receipt(4) else line
                for line in s.journal
            ],
        ),
        f"command {HTTP[1]}: its last event is not where the receipt says",
    ),
    "another answer the second time": (
        lambda s: journal(s, what="answered", door="http", mark=HTTP[1], receipt=receipt(5)),
        f"command {HTTP[1]}: answered differently",
    ),
    "refused after it was done": (
        lambda s: journal(s, what="refused", door="http", mark=HTTP[1]),
        f"command {HTTP[1]}: answered differently",
    ),
    "refused, and done all the same": (
        lambda s: replace(
            s,
            journal=[{**line, "what": "refused"} if line.get("receipt") == receipt(4) else line for line in s.journal],
        ),
        f"command {HTTP[1]}: refused, and has 1 events",
    ),
    "a message without an outcome": (lambda s: replace(s, outcomes=s.outcomes[:1]), f"message {REJECTED}: no outcome"),
    "two outcomes that differ": (
        lambda s: replace(s, outcomes=[*s.outcomes, {**s.outcomes[0], "answer": {"receipt": receipt(4)}}]),
        f"message {BY_MESSAGE}: 3 outcomes that differ",
    ),
    "an outcome that is not what its sender was told": (
        lambda s: replace(s, outcomes=[{**s.outcomes[0], "answer": {"receipt": receipt(4)}}, s.outcomes[1]]),
        f"message {BY_MESSAGE}: its sender was told something else",
    ),
    "a message accepted and rejected": (
        lambda s: replace(s, outcomes=[{**s.outcomes[0], "status": "rejected"}, s.outcomes[1]]),
        f"message {BY_MESSAGE}: rejected, and its sender was told otherwise",
    ),
    "an erasure not certified": (
        lambda s: replace(s, rows=s.rows[:-1], topic=s.topic[:-1]),
        f"erasure {REQUEST}: ['ErasureFenced', 'ErasureDrained', 'ErasureKeysDestroyed']",
    ),
    "an erasure nobody approved": (
        lambda s: replace(s, rows=without(s.rows, 8)),
        f"erasure {REQUEST}: nobody approved it",
    ),
    "a view behind": (lambda s: replace(s, positions={**s.positions, "people": 11}), "view people: at 11"),
    "the search index behind": (
        lambda s: replace(s, positions={**s.positions, "search_index": 11}),
        "view search_index: at 11",
    ),
    "a view that nobody folds": (
        lambda s: replace(s, positions={**s.positions, "other": 13}),
        "view other: nobody folds it",
    ),
    "a view without a row": (lambda s: replace(s, views={**s.views, "consents": {}}), f"view consents: {CONSENT}"),
    "a record set aside": (lambda s: replace(s, set_aside=1), "1 records were set aside"),
} | {
    f"{view}: {fact} changed": (
        lambda s, view=view, key=key, fact=fact: changed_view(s, view, key, **{fact: "other"}),
        f"view {view}: {key}",
    )
    for view, rows in VIEWS.items()
    for key, facts in rows.items()
    for fact in facts
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_reported(seen: Seen, name: str) -> None:
    damage, said = DAMAGES[name]
    found = faults(damage(seen))
    assert [fault for fault in found if said in fault], found
