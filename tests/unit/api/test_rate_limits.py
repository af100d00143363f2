"""Token buckets: how many calls they let through, when the next one, and that there are never too many buckets."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from api.rate_limits import Buckets, Limit, RateLimited, RateLimits
from application.settings import Settings
from domain.errors import SettingInvalid


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def let_through(buckets: Buckets, key: str, tries: int) -> int:
    taken = 0
    for _ in range(tries):
        try:
            buckets.take(key)
            taken += 1
        except RateLimited:
            pass
    return taken


def test_a_burst_is_let_through_and_not_one_call_more(clock: Clock) -> None:
    assert let_through(Buckets(Limit("x", 20, 2.0), clock), "a", 100) == 20


def test_it_is_refilled_evenly_and_never_beyond_full(clock: Clock) -> None:
    buckets = Buckets(Limit("x", 20, 2.0), clock)
    let_through(buckets, "a", 20)

    clock.now += 0.5
    assert let_through(buckets, "a", 100) == 5
    clock.now += 3600
    assert let_through(buckets, "a", 100) == 20


def test_who_is_refused_is_told_when_to_come_again(clock: Clock) -> None:
    buckets = Buckets(Limit("signin", 10, 60.0), clock)
    let_through(buckets, "a", 10)
    with pytest.raises(RateLimited) as refused:
        buckets.take("a")

    assert refused.value.retry_after == 6
    assert refused.value.limit.policy == '"signin";q=10;w=60'
    clock.now += 5.9
    assert let_through(buckets, "a", 1) == 0
    clock.now += 0.2
    assert let_through(buckets, "a", 2) == 1


def test_refused_calls_cost_nothing(clock: Clock) -> None:
    buckets = Buckets(Limit("x", 2, 2.0), clock)
    let_through(buckets, "a", 1000)
    clock.now += 1.0

    assert let_through(buckets, "a", 1000) == 1


def test_each_key_has_its_own(clock: Clock) -> None:
    buckets = Buckets(Limit("x", 3, 3.0), clock)
    let_through(buckets, "a", 100)

    assert let_through(buckets, "b", 100) == 3


def test_a_million_keys_take_no_more_memory_than_the_most_kept(clock: Clock) -> None:
    buckets = Buckets(Limit("x", 3, 3.0), clock, most=100)
    for number in range(1_000_000):
        buckets.take(number)

    assert len(buckets) == 100


def test_who_calls_on_is_not_forgotten_for_newcomers(clock: Clock) -> None:
    buckets = Buckets(Limit("x", 3, 3.0), clock, most=10)
    let_through(buckets, "busy", 3)
    for number in range(1000):
        assert let_through(buckets, "busy", 1) == 0
        buckets.take(number)


def test_threads_share_a_bucket_exactly() -> None:
    buckets = Buckets(Limit("x", 1000, 1e9))
    taken: list[int] = []
    threads = [threading.Thread(target=lambda: taken.append(let_through(buckets, "a", 500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(taken) == 1000


def test_zero_is_no_limit() -> None:
    limits = RateLimits(replace(Settings(), rate_caller="0", rate_peer="0", rate_signin="0"))
    for _ in range(5000):
        limits.caller("i", "s")
        limits.peer("p")
        limits.failed_signin("p")


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "٣", "99999999"])
@pytest.mark.parametrize("field", ["rate_caller", "rate_peer", "rate_signin"])
def test_a_setting_that_is_no_number_is_refused_by_name(field: str, text: str) -> None:
    with pytest.raises(SettingInvalid, match=f"CASEKEEPER_{field.upper()}"):
        RateLimits(replace(Settings(), **{field: text}))
