"""The one that ends slow bodies goes on, whatever becomes of one round."""

from __future__ import annotations

import errno

import pytest

from api import slow_bodies
from api.slow_bodies import Bodies
from tests.waiting import until


def test_running_out_of_descriptors_costs_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []

    def end(port: int, address: str, seconds: float) -> int:
        rounds.append((port, address))
        if len(rounds) == 1:
            raise OSError(errno.EMFILE, "too many open files")
        return 1

    monkeypatch.setattr(slow_bodies, "end_silent_connections", end)
    with Bodies(seconds=0.05).reading(8080, "192.0.2.1"):
        until(lambda: len(rounds) > 1, 10)

    assert set(rounds) == {(8080, "192.0.2.1")}
