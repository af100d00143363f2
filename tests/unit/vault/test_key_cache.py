from uuid import uuid4

import pytest

from domain.sealed import KeyScope
from vault import boottime
from vault.cache import KeyCache
from vault.primitives import SecretKey
from vault.tree import ScopeKey


def scope_key(subject_id=None):
    return ScopeKey(uuid4(), KeyScope(subject_id or uuid4(), "medical", None, 1), SecretKey.new())


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that is moved by hand, and no timer beside it."""
    now = [1000.0]
    monkeypatch.setattr(boottime, "now", lambda: now[0])
    monkeypatch.setattr(KeyCache, "_arm", lambda self, seconds: None)
    return now


def test_a_key_is_kept_for_its_time_counted_from_the_ticket(clock):
    cache, key = KeyCache(30), scope_key()
    ticket = cache.ticket()
    clock[0] += 10
    cache.put(ticket, [key])

    clock[0] += 19.9
    assert cache.get(key.scope_id) is key
    assert cache.find(key.scope) == key.scope_id

    clock[0] += 0.1
    assert cache.get(key.scope_id) is None
    assert cache.find(key.scope) is None


def test_using_a_key_does_not_keep_it_longer(clock):
    cache, key = KeyCache(30), scope_key()
    cache.put(cache.ticket(), [key])

    for _ in range(29):
        clock[0] += 1
        assert cache.get(key.scope_id) is key
    clock[0] += 1
    assert cache.get(key.scope_id) is None


def test_a_reader_paused_past_the_time_keeps_nothing(clock):
    cache, key = KeyCache(30), scope_key()
    ticket = cache.ticket()
    clock[0] += 31

    cache.put(ticket, [key])

    assert cache.get(key.scope_id) is None


def test_what_was_read_before_a_drop_is_not_kept_after_it(clock):
    cache, key = KeyCache(30), scope_key()
    ticket = cache.ticket()
    cache.drop([key.scope.subject_id])

    cache.put(ticket, [key])

    assert cache.get(key.scope_id) is None


def test_dropping_people_leaves_others(clock):
    person = uuid4()
    mine, also_mine, other = scope_key(person), scope_key(person), scope_key()
    cache = KeyCache(30)
    cache.put(cache.ticket(), [mine, other, also_mine])

    cache.drop([person])
    assert [cache.get(key.scope_id) for key in (mine, also_mine, other)] == [None, None, other]

    cache.drop(None)
    assert cache.get(other.scope_id) is None


def test_zero_seconds_keep_nothing(clock):
    cache, key = KeyCache(0), scope_key()
    cache.put(cache.ticket(), [key])

    assert cache.get(key.scope_id) is None


def test_a_key_leaves_an_idle_process_too():
    cache, key = KeyCache(0.05), scope_key()
    cache.put(cache.ticket(), [key])
    assert cache.get(key.scope_id) is key
    timer = cache._timer
    assert timer is not None

    timer.join(5)

    assert not cache._keys
    assert not cache._ids
