"""The change of index keys: built beside the old one, put in force, the old key destroyed, its tags deleted.

Broken off at every statement and every use of the keyring, by a connection that is gone: what is durable then is what a
kill would leave. Another process goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from sealed_people import ADAS_TERMS, answered, registered, tag
from view_records import CASE, keys_destroyed, uid

from domain.errors import KeysUnavailable
from projections import index_epochs, search_index
from projections.search_index import SearchIndex, candidates, current_epoch
from vault.vault import Vault

DAYS = 30
START = datetime(2026, 11, 27, 12, tzinfo=UTC)
OLD, NEW = 20790, 20820
"""Multiples of 30 days since 1970: the first of them is 2026-12-03."""
LATER = datetime.fromtimestamp(OLD * 86_400, UTC) + timedelta(minutes=1)
TERMS = ("email", "ada@example.org")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a change in many small steps."""
    monkeypatch.setattr(search_index, "BUILT_AT_ONCE", 2)
    monkeypatch.setattr(index_epochs, "DELETED_AT_ONCE", 7)


@pytest.fixture
def no_keys(vault: Vault) -> None:
    for name in index_keys(vault):
        vault.destroy_secret(name)


def index_keys(vault: Vault) -> list[str]:
    return [name for name in vault.secrets() if name.startswith("index-")]


def tick(index: Any) -> None:
    with index.connection, index.connection.cursor() as cursor:
        index.projection.tick(cursor)


def epochs(index: Any) -> list[tuple[int, str]]:
    return index.rows("view_search_index_epochs", "epoch, state")


def found(index: Any, vault: Vault) -> list[str]:
    """Search as the API does: the epoch first, then its key, then in one moment whether it is still in force."""
    epoch = index.ask(current_epoch)
    asked = {TERMS[0]: tag(vault.secret(f"index-{epoch}"), *TERMS)}
    assert index.ask(current_epoch) == epoch
    return sorted(item["id"] for item in index.ask(candidates, epoch, asked).items)


def by_hand(vault: Vault, people: dict[str, dict[str, str]], epoch: int) -> set[tuple[Any, ...]]:
    key = vault.secret(f"index-{epoch}")
    return {(epoch, f, tag(key, f, t), source) for source, terms in people.items() for f, t in terms.items()}


def tags(index: Any) -> set[tuple[Any, ...]]:
    return set(index.rows("view_search_index_tags", "epoch, field, tag, source_id::text"))


def test_before_its_end_an_epoch_stays(feed, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    tick(index)
    assert epochs(index) == []
    index.take(registered(vault, str(uuid4())))
    tick(index)

    assert epochs(index) == [(OLD, "current")]
    assert index_keys(vault) == [f"index-{OLD}"]


def test_an_epoch_is_replaced_step_by_step_and_people_are_found_all_the_while(feed, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    people = sorted(str(uuid4()) for _ in range(5))
    index.take(*[registered(vault, person) for person in people])
    index.take(answered(vault, people[0], CASE, uid(100), "EM-0001"))
    tick(index)
    clock.now = LATER
    seen = []
    while epochs(index) != [(NEW, "current")]:
        tick(index)
        seen.append((epochs(index), index_keys(vault)))
        assert found(index, vault) == people
        assert len(seen) < 40

    old_key, both = [f"index-{OLD}"], [f"index-{OLD}", f"index-{NEW}"]
    steps = [step for number, step in enumerate(seen) if step not in seen[:number]]
    assert steps == [
        ([(OLD, "current"), (NEW, "building")], old_key),
        ([(OLD, "current"), (NEW, "building")], both),
        ([(OLD, "retired"), (NEW, "current")], both),
        ([(OLD, "retired"), (NEW, "current")], [f"index-{NEW}"]),
        ([(NEW, "current")], [f"index-{NEW}"]),
    ]
    everybody = dict.fromkeys(people, ADAS_TERMS) | {uid(100): {"record_number": "em0001"}}
    assert tags(index) == by_hand(vault, everybody, NEW)


def test_who_comes_or_goes_during_a_change_is_in_both_epochs_or_in_none(feed, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    people = sorted(str(uuid4()) for _ in range(4))
    index.take(*[registered(vault, person) for person in people])
    tick(index)
    clock.now = LATER
    tick(index)
    tick(index)
    # Two of four are built. One built and one not yet are erased; one comes before and one behind where it has got to.
    before, behind = "00000000-0000-4000-8000-0000000000aa", "ffffffff-ffff-4fff-8fff-ffffffffffff"
    index.take(keys_destroyed(people[0], [], whole=True), registered(vault, before))
    index.take(keys_destroyed(people[3], [], whole=True, certificate=str(uuid4())), registered(vault, behind))
    left = [before, *people[1:3], behind]
    assert {source for _, _, _, source in tags(index)} == set(left)
    assert found(index, vault) == sorted(left)
    for _ in range(30):
        tick(index)

    assert epochs(index) == [(NEW, "current")]
    assert tags(index) == by_hand(vault, dict.fromkeys(left, ADAS_TERMS), NEW)


class _BrokenOffError(Exception):
    """Stands for a process that is no more."""


class Doomed:
    """A cursor and a vault in one that count what they are asked for, and end at a number."""

    def __init__(self, cursor: Any, vault: Vault, last: int) -> None:
        self._cursor, self._vault, self._left = cursor, vault, last

    def count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _BrokenOffError

    def cursor_call(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.count()
            return getattr(self._cursor, name)(*args)

        return call

    def __getattr__(self, name: str) -> Any:
        if name in ("execute", "copy_expert"):
            return self.cursor_call(name)
        return getattr(self._cursor, name)

    def secret(self, name: str) -> bytes:
        self.count()
        key = self._vault.secret(name)
        self.count()
        return key

    def destroy_secret(self, name: str) -> None:
        self.count()
        self._vault.destroy_secret(name)
        self.count()

    def secrets(self) -> list[str]:
        return self._vault.secrets()

    def open_many(self, fields: Any) -> Any:
        return self._vault.open_many(fields)


def test_a_change_broken_off_anywhere_is_finished_by_whoever_comes_next(feed, connect, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    people = sorted(str(uuid4()) for _ in range(3))
    index.take(*[registered(vault, person) for person in people])
    tick(index)
    clock.now = LATER
    broken_off, last = 0, 0
    while epochs(index) != [(NEW, "current")]:
        connection = connect()
        doomed = Doomed(connection.cursor(), vault, last)
        try:
            with suppress(_BrokenOffError):
                SearchIndex(doomed, DAYS, clock).tick(doomed)
                connection.commit()
                last = -1
            broken_off += 1
        finally:
            connection.close()
        assert found(index, vault) == people
        # Further into the step each time, until the step is done; then the next one.
        last += 1
        assert broken_off < 200

    assert broken_off > 40
    assert index_keys(vault) == [f"index-{NEW}"]
    assert tags(index) == by_hand(vault, dict.fromkeys(people, ADAS_TERMS), NEW)


def test_a_key_that_a_view_built_anew_has_left_behind_is_destroyed(feed, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    record = registered(vault, str(uuid4()))
    index.take(record)
    clock.now = LATER
    rebuilt = feed(SearchIndex(vault, DAYS, clock))
    rebuilt.take(record)
    assert index_keys(vault) == [f"index-{OLD}", f"index-{NEW}"]
    tick(rebuilt)

    assert (epochs(rebuilt), index_keys(vault)) == ([(NEW, "current")], [f"index-{NEW}"])
    assert len(found(rebuilt, vault)) == 1


def test_a_key_made_by_a_late_searcher_under_an_old_name_does_not_stay(feed, vault, clock, no_keys, monkeypatch):
    monkeypatch.setattr(search_index, "_UNUSED_KEYS_SECONDS", 0.0)
    index = feed(SearchIndex(vault, DAYS, clock))
    index.take(registered(vault, str(uuid4())))
    tick(index)
    vault.secret("index-20760")
    tick(index)

    assert index_keys(vault) == [f"index-{OLD}"]


def test_shorter_epochs_replace_the_one_in_force_at_once(feed, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    index.take(registered(vault, str(uuid4())))
    index.projection = SearchIndex(vault, 2, clock)
    for _ in range(8):
        tick(index)

    # 2026-11-29: the next even day since 1970.
    assert epochs(index) == [(20786, "current")]


def test_keys_that_are_away_put_a_change_off(feed, vault, clock, no_keys, monkeypatch):
    index = feed(SearchIndex(vault, DAYS, clock))
    person = str(uuid4())
    index.take(registered(vault, person))
    tick(index)
    clock.now = LATER

    def away(*_: Any) -> None:
        raise KeysUnavailable("down")

    tick(index)
    with monkeypatch.context() as during:
        during.setattr(vault, "open_many", away)
        with pytest.raises(KeysUnavailable):
            tick(index)
    assert epochs(index) == [(OLD, "current"), (NEW, "building")]
    for _ in range(8):
        tick(index)
    assert (epochs(index), found(index, vault)) == ([(NEW, "current")], [person])


def test_a_person_erased_while_the_next_epoch_is_built_is_not_in_it(feed, vault, clock, no_keys):
    """The keys are gone, the view has not come to it yet."""
    index = feed(SearchIndex(vault, DAYS, clock))
    gone, stays = str(uuid4()), str(uuid4())
    index.take(registered(vault, gone), registered(vault, stays))
    tick(index)
    vault.destroy(uuid4(), START, [UUID(gone)], [])
    clock.now = LATER
    for _ in range(12):
        tick(index)

    assert epochs(index) == [(NEW, "current")]
    assert {source for _, _, _, source in tags(index)} == {stays}


def test_a_value_that_no_longer_opens_does_not_hold_up_the_change(feed, vault, clock, no_keys):
    index = feed(SearchIndex(vault, DAYS, clock))
    damaged, sound = str(uuid4()), str(uuid4())
    index.take(registered(vault, damaged), registered(vault, sound))
    tick(index)
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute(
            "UPDATE view_search_index_sources SET value = jsonb_set(value, '{event_id}', to_jsonb(%s::text)) "
            "WHERE source_id = %s",
            (str(uuid4()), damaged),
        )
    clock.now = LATER
    for _ in range(12):
        tick(index)

    assert epochs(index) == [(NEW, "current")]
    assert {source for _, _, _, source in tags(index)} == {sound}


def test_two_processes_never_change_the_view_at_once(feed, connect, vault, clock, no_keys):
    """A process that was replaced while it stood still in a step keeps the other waiting."""
    index = feed(SearchIndex(vault, DAYS, clock))
    index.take(registered(vault, str(uuid4())))
    tick(index)
    clock.now = LATER
    zombie = connect()
    with zombie.cursor() as cursor:
        SearchIndex(vault, DAYS, clock).tick(cursor)
        with index.connection, index.connection.cursor() as other:
            other.execute("SET LOCAL lock_timeout = '200ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                index.projection.tick(other)
    zombie.rollback()
    tick(index)

    assert epochs(index) == [(OLD, "current"), (NEW, "building")]


class StoppedAtTheList:
    """The vault of a process that is stopped before it asks which keys there are."""

    def __init__(self, vault: Vault, meanwhile: Callable[[], None]) -> None:
        self._vault, self._meanwhile = vault, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    def secrets(self) -> list[str]:
        self._meanwhile()
        return self._vault.secrets()


def test_a_process_that_was_stopped_in_a_step_and_replaced_destroys_no_key_in_force(
    feed, connect, vault, clock, no_keys
):
    index = feed(SearchIndex(vault, DAYS, clock))
    person = str(uuid4())
    index.take(registered(vault, person))
    tick(index)
    clock.now = LATER
    stopped = connect()

    def replaced() -> None:
        """The server ends the stopped session; another worker leads, and changes the epoch."""
        with index.connection, index.connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", (stopped.info.backend_pid,))
        for _ in range(12):
            tick(index)
        assert (epochs(index), found(index, vault)) == ([(NEW, "current")], [person])

    with stopped.cursor() as cursor, pytest.raises(psycopg2.OperationalError):
        SearchIndex(StoppedAtTheList(vault, replaced), DAYS, clock).tick(cursor)

    assert index_keys(vault) == [f"index-{NEW}"]
    assert found(index, vault) == [person]
