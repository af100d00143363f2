"""Histories of concurrent clients under faults have no anomaly; and the checkers would find one.

Two checkers that know nothing of one another look at each history: Porcupine, where Go is present, and a search of our
own; a third goes through the whole log. Each is first held against histories made by hand.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from linearizability import porcupine
from linearizability.assembly import Call, Stored, assemble
from linearizability.campaign import Campaign, Gathered
from linearizability.histories import RIGHT, WRONG
from linearizability.history import Operation, write
from linearizability.search import anomalies
from linearizability.whole_log import differences


@pytest.fixture(scope="session")
def porcupine_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built checker; without Go, or without the module, what needs it is skipped and says so."""
    program = tmp_path_factory.mktemp("porcupine") / "linearizability"
    if reason := porcupine.build(program):
        pytest.skip(f"Porcupine cannot be used here: {reason}")
    return program


@pytest.mark.parametrize("name", RIGHT)
def test_the_search_finds_an_order(name: str) -> None:
    assert anomalies(RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_the_search_finds_that_there_is_none(name: str) -> None:
    assert [anomaly.object for anomaly in anomalies(WRONG[name])] == [WRONG[name][0].object]


def test_porcupine_agrees_on_every_one(porcupine_program: Path, tmp_path: Path) -> None:
    named = {**{f"right {name}": h for name, h in RIGHT.items()}, **{f"wrong {name}": h for name, h in WRONG.items()}}
    file = tmp_path / "histories.jsonl"
    write((renamed(o, name) for name, history in named.items() for o in history), file)

    verdict = porcupine.check(porcupine_program, file)

    assert verdict.objects == len(named)
    assert set(verdict.illegal) == {name for name in named if name.startswith("wrong")}
    assert verdict.undecided == ()


def test_a_small_history_under_faults_has_no_anomaly(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with Campaign(tmp_path) as campaign:
        gathered = campaign.run(rounds=3, operations=1_500)

    assert len(gathered.calls) >= 4_000
    examine(gathered, tmp_path, request)


@pytest.mark.faults
def test_a_hundred_thousand_operations_under_faults_have_no_anomaly(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with Campaign(tmp_path) as campaign:
        gathered = campaign.run(rounds=5, operations=17_800, restart_every=2)

    assert len(gathered.calls) >= 100_000
    examine(gathered, tmp_path, request)


TRIES = 5
FUNCTION = "SELECT pg_get_functiondef('append_commands'::regproc)"
LOCK = "INTO STRICT v_head, v_open FROM log_head h FOR UPDATE"
LOOKUP = "IF (SELECT true FROM unnest(e_id)"
VERSIONS = "WHERE (q.stored <> q.version OR q.behind)"
DURABLE = "command := 0; outcome := 'head';"
REMOVED = {
    "the lock on the head": (LOCK, LOCK.removesuffix(" FOR UPDATE"), "ALTER TABLE events DROP CONSTRAINT events_pkey"),
    "the lookup of what was sent again": (LOOKUP, LOOKUP.replace("IF (", "IF false AND ("), ""),
    "the versions a decision relied on": (VERSIONS, "WHERE q.behind", ""),
    "the wait for the disk": (DURABLE, f"PERFORM set_config('synchronous_commit', 'off', true); {DURABLE}", ""),
}
"""What is taken out of the database: the text in the function, what replaces it, and a statement besides."""


@pytest.mark.faults
@pytest.mark.parametrize("protection", REMOVED)
def test_without_a_protection_an_anomaly_is_found(protection: str, tmp_path: Path) -> None:
    for number in range(TRIES):
        gathered = gathered_without(protection, tmp_path / str(number))
        found = differences(gathered.calls, gathered.table)
        searched = anomalies(assemble(gathered.calls, gathered.table, gathered.boundaries))
        print(f"\nwithout {protection}: {len(found)} differences, such as: {found[:2]}")
        print(f"and {len(searched)} objects without an order: {[anomaly.object for anomaly in searched[:5]]}")
        if found and searched:
            return
    pytest.fail(f"nothing found in {TRIES} rounds")


def gathered_without(protection: str, folder: Path) -> Gathered:
    """Return one round of faults and operations with a protection taken out; whether they meet is chance."""
    there, instead, besides = REMOVED[protection]
    folder.mkdir()
    with Campaign(folder, cut_chance=0.04) as campaign:
        function = campaign.sql(FUNCTION)[0][0]
        assert function.count(there) == 1
        campaign.sql(function.replace(there, instead))
        if besides:
            campaign.sql(besides)
        return campaign.run(rounds=1, operations=3_000, restart_every=1)


TABLE = [Stored(1, 10, 1, 1), Stored(2, 11, 2, 1), Stored(3, 12, 1, 2)]
FIRST = Call(1, 0, 0, {"do": "append", "events": [[1, 1, 10], [2, 1, 11]], "expected": [[1, 0], [2, 0]], "key": 5}, 5)
SECOND = Call(1, 0, 6, {"do": "append", "events": [[1, 2, 12]], "expected": [[1, 1], [2, 1]], "key": None}, 9)
REPEAT = Call(1, 0, 30, {"do": "append", "events": [[1, 3, 20]], "expected": [[1, 2]], "key": 5}, 31)
OK_FIRST, OK_SECOND = {"said": "ok", "positions": [1, 2]}, {"said": "ok", "positions": [3]}


def told(call: Call, answer: dict | None, **changes: object) -> Call:
    fields = {"round": 1, "client": 0, "at": call.at, "asked": call.asked, "ended": call.ended}
    return Call(**{**fields, **changes}, told=answer)


def look(at: int, asked: dict, answer: dict) -> Call:
    return Call(1, 0, at, asked, at + 1, {"said": "ok", **answer})


BOTH = [told(FIRST, OK_FIRST), told(SECOND, OK_SECOND)]
CONTRADICTIONS: dict[str, tuple[list[Call], list[Stored]]] = {
    "a lost row": (BOTH, TABLE[:2]),
    "a gap": (BOTH, [*TABLE[:2], Stored(4, 12, 1, 2)]),
    "a skipped version": (BOTH, [*TABLE[:2], Stored(3, 12, 1, 3)]),
    "another place than told": ([BOTH[0], told(SECOND, {"said": "ok", "positions": [2]})], TABLE),
    "refused and stored": ([BOTH[0], told(SECOND, {"said": "refused"})], TABLE),
    "a conflict and stored": ([BOTH[0], told(SECOND, {"said": "conflict", "stream": 1})], TABLE),
    "nobody's event": (BOTH[:1], TABLE),
    "taken apart": (BOTH, [TABLE[0], Stored(2, 12, 1, 2), Stored(3, 11, 2, 1)]),
    "decided on what was no more": (
        [BOTH[0], told(SECOND, OK_SECOND, asked={**SECOND.asked, "expected": [[1, 1], [2, 0]]})],
        TABLE,
    ),
    "a key with two effects": ([BOTH[0], told(SECOND, OK_SECOND, asked={**SECOND.asked, "key": 5})], TABLE),
    "told of another command": (
        [*BOTH, told(REPEAT, {"said": "known", "event": 12, "position": 3})],
        TABLE,
    ),
    "a head from before": ([*BOTH, look(20, {"do": "head"}, {"head": 2})], TABLE),
    "a page from before": (
        [*BOTH, look(20, {"do": "page", "from": 3, "limit": 2}, {"positions": [], "ids": []})],
        TABLE,
    ),
    "a page of what is elsewhere": (
        [*BOTH, look(20, {"do": "page", "from": 3, "limit": 1}, {"positions": [3], "ids": [10]})],
        TABLE,
    ),
    "a read with a hole": (
        [*BOTH, look(20, {"do": "read", "stream": 1, "after": 0}, {"ids": [12], "versions": [2]})],
        TABLE,
    ),
    "appended before what was seen": ([told(FIRST, OK_FIRST, at=30, ended=40), told(SECOND, OK_SECOND)], TABLE),
}


def test_a_whole_log_without_contradiction() -> None:
    looks = [
        look(20, {"do": "head"}, {"head": 3}),
        look(22, {"do": "page", "from": 2, "limit": 9}, {"positions": [2, 3], "ids": [11, 12]}),
        look(24, {"do": "read", "stream": 1, "after": 1}, {"ids": [12], "versions": [2]}),
    ]
    known = told(REPEAT, {"said": "known", "event": 11, "position": 2})
    lost = told(SECOND, None, asked={**SECOND.asked, "events": [[1, 3, 30]]})
    assert differences([*BOTH, *looks, known, lost], TABLE) == []


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_whole_log_with_a_contradiction(name: str) -> None:
    calls, table = CONTRADICTIONS[name]
    assert differences(calls, table)


def examine(gathered: Gathered, folder: Path, request: pytest.FixtureRequest) -> None:
    """Check a history with everything there is, Porcupine last: without it that is said, and the rest counts."""
    said = Counter(f"{call.asked['do']} {call.said}" for call in gathered.calls)
    print(f"\n{len(gathered.calls)} operations in {gathered.seconds:.1f} s: {dict(said)}; faults: {gathered.faults}")
    started = time.monotonic()
    assert differences(gathered.calls, gathered.table) == []
    operations = assemble(gathered.calls, gathered.table, gathered.boundaries)
    assert anomalies(operations) == []
    print(f"no anomaly, looked for by our own in {time.monotonic() - started:.1f} s")
    assert min(said["append ok"], said["append conflict"], said["append known"], said["append unknown"]) > 0
    assert gathered.faults["restarts"] > 0
    program: Path = request.getfixturevalue("porcupine_program")
    started, file = time.monotonic(), folder / "history.jsonl"
    write(operations, file)
    verdict = porcupine.check(program, file)
    print(f"and by Porcupine in {time.monotonic() - started:.1f} s: {verdict}")
    assert (verdict.operations, verdict.illegal, verdict.undecided) == (len(operations), (), ())


def renamed(operation: Operation, name: str) -> Operation:
    fields = (operation.client, operation.call, operation.ended, operation.input, operation.output)
    return Operation(name, *fields)
