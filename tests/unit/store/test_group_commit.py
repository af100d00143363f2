"""Group commit: who leads, what each caller is told, and that nobody waits for ever."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import uuid4

import pytest

from domain.errors import ConcurrencyConflict, OutcomeUnknown, StoreUnavailable
from store import group_commit
from store.append import AppendCommand, Appended, NewEvent
from store.group_commit import MAX_COMMANDS, GroupCommit, _Waiting


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where it is ignored because the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def command(number: int = 1) -> AppendCommand:
    return AppendCommand((NewEvent(uuid4(), uuid4(), 1, "Counted", str(number).encode()),))


def number(of: AppendCommand) -> int:
    return int(of.events[0].record)


class Store:
    """Answers each command its own number as its position; can be held, and notes its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.at_work = threading.Lock()
        self.before: Callable[[int], None] = lambda batch: None

    def commit(self, commands: Sequence[AppendCommand]) -> list[Appended | Exception]:
        assert self.at_work.acquire(blocking=False), "two commits at once"
        try:
            self.batches.append([number(c) for c in commands])
            self.before(len(self.batches))
            assert self.go.wait(10)
            return [Appended((number(c),)) if number(c) else ConcurrencyConflict(uuid4()) for c in commands]
        finally:
            self.at_work.release()


def waiting_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def in_turn(pool: ThreadPoolExecutor, group: GroupCommit, store: Store) -> list[Future[Appended]]:
    """Return the appends of 1, which a held store is at, and of 2 and then 3, which stand in line behind it."""
    calls = [pool.submit(group.append, command(1))]
    waiting_for(lambda: len(store.batches) == 1)
    for behind in (1, 2):
        calls.append(pool.submit(group.append, command(behind + 1)))
        waiting_for(lambda behind=behind: len(group._line) == behind)
    return calls


def test_each_caller_gets_its_own_answer_and_commits_never_overlap() -> None:
    store = Store()
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: group.append(command(n)).positions, range(1, 2001)))
    assert answers == [(n,) for n in range(1, 2001)]
    assert sorted(n for batch in store.batches for n in batch) == list(range(1, 2001))


def test_what_comes_during_a_commit_goes_together_into_the_next_one() -> None:
    store = Store()
    store.go.clear()
    told: list[int] = []
    group = GroupCommit(store.commit, told.append)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(group.append, command(1))
        waiting_for(lambda: len(store.batches) == 1)
        others = [pool.submit(group.append, command(n)) for n in range(2, 10)]
        waiting_for(lambda: len(group._line) == 8)
        store.go.set()
        assert [f.result(10).positions for f in (first, *others)] == [(n,) for n in range(1, 10)]
    assert [len(batch) for batch in store.batches] == told == [1, 8]


def test_a_batch_has_a_largest_size() -> None:
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(MAX_COMMANDS + 3) as pool:
        pool.submit(group.append, command(1))
        waiting_for(lambda: len(store.batches) == 1)
        others = [pool.submit(group.append, command(n)) for n in range(2, MAX_COMMANDS + 4)]
        waiting_for(lambda: len(group._line) == MAX_COMMANDS + 2)
        store.go.set()
        assert [f.result(10).positions[0] for f in others] == list(range(2, MAX_COMMANDS + 4))
    assert [len(batch) for batch in store.batches] == [1, MAX_COMMANDS, 2]


def test_a_refused_command_raises_and_the_others_are_appended() -> None:
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(group.append, command(1))
        waiting_for(lambda: len(store.batches) == 1)
        refused, appended = pool.submit(group.append, command(0)), pool.submit(group.append, command(2))
        waiting_for(lambda: len(group._line) == 2)
        store.go.set()
        assert isinstance(refused.exception(10), ConcurrencyConflict)
        assert appended.result(10).positions == (2,)


@pytest.mark.parametrize("problem", [StoreUnavailable("away"), KeyboardInterrupt()])
def test_when_a_commit_breaks_each_is_told_and_the_next_in_line_leads(problem: BaseException) -> None:
    store = Store()

    def break_second(batch: int) -> None:
        if batch == 1:
            waiting_for(lambda: len(group._line) == 2)
        if batch == 2:
            waiting_for(lambda: len(group._line) == 1)
            raise problem

    store.before = break_second
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(group.append, command(1))
        waiting_for(lambda: len(store.batches) == 1)
        broken = [pool.submit(group.append, command(n)) for n in (2, 3)]
        waiting_for(lambda: len(store.batches) == 2)
        last = pool.submit(group.append, command(4))
        assert first.result(10).positions == (1,)
        told = [f.exception(10) for f in broken]
        assert last.result(10).positions == (4,)
    assert all(isinstance(error, (StoreUnavailable, type(problem))) for error in told)
    assert sum(isinstance(error, StoreUnavailable) for error in told) >= 1


def test_who_is_interrupted_while_waiting_leaves_the_line() -> None:
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    main = threading.get_ident()

    def interrupt() -> None:
        waiting_for(lambda: len(group._line) == 1)
        time.sleep(0.1)  # from standing in line to waiting are a few steps more
        signal.pthread_kill(main, signal.SIGINT)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(group.append, command(1))
        waiting_for(lambda: len(store.batches) == 1)
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            group.append(command(2))
        third = pool.submit(group.append, command(3))
        waiting_for(lambda: len(group._line) == 1)
        store.go.set()
        assert first.result(10).positions == (1,)
        assert third.result(10).positions == (3,)
    assert store.batches == [[1], [3]]


def test_who_is_interrupted_when_called_to_lead_hands_the_lead_on(monkeypatch) -> None:
    def waiting(of: AppendCommand) -> _Waiting:
        made = _Waiting(of)
        if number(of) == 2:
            made.called = _Interrupting(made)
        return made

    monkeypatch.setattr(group_commit, "_Waiting", waiting)
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(3) as pool:
        first, called, third = in_turn(pool, group, store)
        store.go.set()
        assert first.result(10).positions == (1,)
        assert isinstance(called.exception(10), KeyboardInterrupt)
        assert third.result(10).positions == (3,)
    assert store.batches == [[1], [3]]


class _Interrupting:
    """A lock whose waiter is interrupted, as by a signal, once it was called to lead."""

    def __init__(self, waiting: _Waiting) -> None:
        self._waiting = waiting

    def acquire(self) -> None:
        waiting_for(lambda: self._waiting.leads)
        raise KeyboardInterrupt

    def release(self) -> None:
        """Nobody sleeps on it."""


class _InterruptedAfter:
    """A lock whose holder is interrupted once, as by a signal, at the moment at which it has let go of it."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self._times = lock, 1

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()
        self._times -= 1
        if self._times == 0:
            raise KeyboardInterrupt


def test_who_is_interrupted_between_standing_in_line_and_leading_leaves_nothing_behind() -> None:
    store = Store()
    group = GroupCommit(store.commit)
    group._state = _InterruptedAfter(group._state)
    with pytest.raises(KeyboardInterrupt):
        group.append(command(1))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(group.append, command(2)).result(10).positions == (2,)
        pool.submit(group.close).result(10)
    assert store.batches == [[2]]


class _SlowToLetGo:
    """A lock whose holder, once it has let go, goes on only when a condition holds."""

    def __init__(self, lock: threading.Lock, condition: Callable[[], bool]) -> None:
        self._lock, self._condition = lock, condition

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()
        waiting_for(self._condition)


def test_who_is_called_to_lead_before_it_came_to_wait_leads() -> None:
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    free = group._state
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(group.append, command(1))
        waiting_for(lambda: len(store.batches) == 1)

        def called_to_lead() -> bool:
            group._state = free
            store.go.set()
            return group._line[0].leads

        group._state = _SlowToLetGo(free, called_to_lead)
        assert group.append(command(2)).positions == (2,)
        assert first.result(10).positions == (1,)
    assert store.batches == [[1], [2]]


def test_when_the_leader_is_interrupted_after_gathering_each_of_the_batch_is_told() -> None:
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(3) as pool:
        first, second, third = in_turn(pool, group, store)
        group._state = _InterruptedAfter(group._state)
        store.go.set()
        assert first.result(10).positions == (1,)
        assert isinstance(second.exception(10), KeyboardInterrupt)
        assert isinstance(third.exception(10), OutcomeUnknown)
        assert pool.submit(group.append, command(4)).result(10).positions == (4,)
    assert store.batches == [[1], [4]]


def test_closing_finishes_who_waits_and_refuses_who_comes() -> None:
    store = Store()
    store.go.clear()
    group = GroupCommit(store.commit)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(group.append, command(1))]
        waiting_for(lambda: len(store.batches) == 1)
        waiting.append(pool.submit(group.append, command(2)))
        waiting_for(lambda: len(group._line) == 1)
        closing = pool.submit(group.close)
        waiting_for(lambda: group._closed)
        with pytest.raises(StoreUnavailable):
            group.append(command(3))
        assert not closing.done()
        store.go.set()
        closing.result(10)
        assert [f.result(0).positions for f in waiting] == [(1,), (2,)]
