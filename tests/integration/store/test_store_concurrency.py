"""Many processes and threads at once: order without gaps, fences without stragglers, one effect per key."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from threading import Event, Thread
from uuid import UUID, uuid4

from store_builders import at_once, command, event, fencing, history, idempotency, rows, stored_ids
from store_writers import COMMANDS_PER_THREAD, SHARED, THREADS, write

from domain.errors import AlreadyDone, ConcurrencyConflict, Fenced, IdempotencyKeyReused
from store.append import AppendCommand, Appended, StoredRecord
from store.log import EventLog

PROCESSES = 8
TAILS = 3


class Tail:
    """Follows the log as fast as it can and keeps all it saw, in the order in which it saw it."""

    def __init__(self, dsn: str, page: int) -> None:
        self.seen: list[StoredRecord] = []
        self._dsn = dsn
        self._page = page
        self._finish = Event()
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._finish.set()
        self._thread.join()

    def _follow(self) -> None:
        with EventLog(self._dsn) as log:
            while True:
                finishing = self._finish.is_set()
                last = self.seen[-1].position if self.seen else 0
                page = log.read_from(last + 1, self._page)
                self.seen += page
                if finishing and not page:
                    return


def test_no_reader_skips_a_position_while_eight_processes_write(events_dsn: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    ends = [spawn.Pipe(duplex=False) for _ in range(PROCESSES)]
    writers = [spawn.Process(target=write, args=(events_dsn, n, sender)) for n, (_, sender) in enumerate(ends)]
    tails = [Tail(events_dsn, page) for page in (1, 7, 500)[:TAILS]]
    for writer in writers:
        writer.start()
    for _, sender in ends:
        sender.close()
    told = [receiver.recv() for receiver, _ in ends]
    for writer in writers:
        writer.join()
    for tail in tails:
        tail.finish()

    acknowledged = [row for rows_told, _ in told for row in rows_told]
    conflicts = sum(count for _, count in told)
    table = rows(events_dsn, "SELECT position, event_id::text, stream_id::text, version FROM events ORDER BY position")
    stored = [(position, UUID(event_id), UUID(stream), version) for position, event_id, stream, version in table]
    assert [row[0] for row in stored] == list(range(1, len(stored) + 1))
    assert sorted(acknowledged) == stored
    assert len(acknowledged) >= PROCESSES * THREADS * COMMANDS_PER_THREAD
    assert conflicts > 0, "the writers never met: this run proves nothing"
    for tail in tails:
        assert [(r.position, r.event_id, r.stream_id, r.version) for r in tail.seen] == stored
    for shared in SHARED:
        versions = [version for _, _, stream, version in stored if stream == shared]
        assert versions == list(range(1, len(versions) + 1))


def test_a_fence_is_a_clean_cut(events_dsn: str) -> None:
    """Whatever appends and whoever fences at the same moment: what uses the scope is before the fence or refused."""
    scope = uuid4()
    using = frozenset({scope})
    fenced_at: list[int] = []

    def use(log: EventLog) -> Callable[[], list[int]]:
        def run() -> list[int]:
            positions: list[int] = []
            for _ in range(2_000):
                try:
                    positions += log.append(command(event(uuid4(), 1), uses=using)).positions
                except Fenced:
                    return positions
            raise AssertionError("never fenced")

        return run

    def fence(log: EventLog) -> None:
        give_up = time.monotonic() + 30
        while log.head() < 30 and time.monotonic() < give_up:
            log.wait_for_append(0.1)
        fenced_at.extend(log.append(fencing(scope)).positions)

    with EventLog(events_dsn) as one, EventLog(events_dsn) as two, EventLog(events_dsn) as three:
        *used, fencing_failed = at_once(use(one), use(one), use(two), use(two), lambda: fence(three))

    assert fencing_failed is None
    positions = sorted(position for some in used for position in some)
    assert len(positions) >= 30
    assert positions == list(range(1, fenced_at[0]))
    assert sorted(stored_ids(events_dsn)) == [*positions, fenced_at[0]]


def test_the_same_key_and_body_at_once_has_one_effect_and_one_answer(events_dsn: str) -> None:
    with EventLog(events_dsn) as one, EventLog(events_dsn) as two:
        results = at_once(
            *(
                lambda log=log, n=n: log.append(
                    command(event(uuid4(), 1), idempotency=idempotency("key", answer={"n": n}))
                )
                for n, log in enumerate([one, two] * 6)
            )
        )
        remembered = one.find_idempotent("key")

    appended = [(n, result) for n, result in enumerate(results) if isinstance(result, Appended)]
    repeated = [result for result in results if isinstance(result, AlreadyDone)]
    assert (len(appended), len(repeated)) == (1, 11)
    winner, answer = appended[0]
    assert remembered is not None
    assert remembered.answer == {"n": winner}
    assert {(r.status, r.answer["n"], r.position) for r in repeated} == {(201, winner, answer.positions[0])}
    assert len(stored_ids(events_dsn)) == 1


def test_the_same_key_with_different_bodies_at_once_lets_one_in(events_dsn: str) -> None:
    with EventLog(events_dsn) as one, EventLog(events_dsn) as two:
        results = at_once(
            *(
                lambda log=log, n=n: log.append(
                    command(event(uuid4(), 1), idempotency=idempotency("key", body=b"%d" % n))
                )
                for n, log in enumerate([one, two] * 4)
            )
        )

    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, IdempotencyKeyReused) for result in results) == 7
    assert len(stored_ids(events_dsn)) == 1


def test_decisions_on_one_stream_at_once_let_one_in_and_tell_the_others(log: EventLog) -> None:
    stream = uuid4()
    log.append(history(stream, 1))
    rivals: list[AppendCommand] = [command(event(stream, 2)) for _ in range(16)]

    results = at_once(*(lambda rival=rival: log.append(rival) for rival in rivals))

    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, ConcurrencyConflict) for result in results) == 15
    assert len(log.read_stream(stream)) == 2
