"""Bystanders: hundreds are forgotten in rotations of every size while others read and register; nobody notices."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from vault_keys import Keys
from vault_people import SealedFact, seal_fact

from domain.errors import KeysUnavailable
from domain.sealed import Erased, SealedField
from tests.attacks.conftest import Tell

AT = datetime(2026, 3, 4, tzinfo=UTC)
FANOUT = 6
MAKERS = 4
AT_ONCE = 200


def digest(value: Any) -> bytes:
    """Return SHA-256 of a value as JSON: what is compared, so that no plaintext is kept meanwhile."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


class Doing(threading.Thread):
    """Repeats something until told to stop; ``outages``: how often the keys kept changing under it, ``error``: else."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._act, self._stop_asked = act, threading.Event()
        self.count = self.outages = 0
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self._act()
                self.count += 1
            except KeysUnavailable:
                self.outages += 1
            except BaseException as error:
                self.error = error
                return

    def end(self) -> None:
        self._stop_asked.set()
        self.join()
        if self.error is not None:
            raise self.error


def seal_in_parallel(keys: Keys, people: list[UUID]) -> dict[UUID, SealedFact]:
    made: dict[UUID, SealedFact] = {}

    def make(part: list[UUID]) -> None:
        vault = keys.open(fanout=FANOUT)
        for subject_id in part:
            made[subject_id] = seal_fact(vault, subject_id)
        vault.close()

    keys.open(fanout=FANOUT).close()
    threads = [threading.Thread(target=make, args=(people[n::MAKERS],)) for n in range(MAKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


@pytest.mark.parametrize(
    ("many", "forgotten"), [(2_000, 100), pytest.param(20_000, 500, marks=pytest.mark.faults)], ids=["some", "many"]
)
def test_everybody_elses_data_opens_byte_for_byte(keys: Keys, many: int, forgotten: int, tell: Tell) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    people = [uuid4() for _ in range(many)]
    facts = seal_in_parallel(keys, people)
    assert facts.keys() == set(people)
    digests = {subject_id: digest(fact.value) for subject_id, fact in facts.items()}
    fields: dict[UUID, SealedField] = {subject_id: fact.field for subject_id, fact in facts.items()}
    del facts
    doomed = chance.sample(people, forgotten)
    bystanders = sorted(set(people) - set(doomed))
    [(levels,)] = keys.sql("SELECT top_level FROM key_root")
    reader, maker, forgetter = keys.open(cache_seconds=0), keys.open(), keys.open()
    newcomers: list[SealedFact] = []

    def read() -> None:
        some = random.sample(bystanders, 20)
        assert [digest(v) for v in reader.open_many([fields[i] for i in some])] == [digests[i] for i in some]

    reading, making = Doing(read), Doing(lambda: newcomers.append(seal_fact(maker, uuid4())))
    certificates: dict[UUID, UUID] = {}
    sizes, began = [], time.monotonic()
    while doomed:
        sizes.append(min(len(doomed), chance.choice((1, 1, 2, 3, 8, 40))))
        batch = [doomed.pop() for _ in range(sizes[-1])]
        certificates |= dict.fromkeys(batch, uuid4())
        destroyed = forgetter.destroy(certificates[batch[0]], AT, batch, [])
        assert len(destroyed.scope_ids) == len(batch)
    took = time.monotonic() - began
    reading.end()
    making.end()

    fresh = keys.open()
    for start in range(0, len(bystanders), AT_ONCE):
        part = bystanders[start : start + AT_ONCE]
        assert [digest(v) for v in fresh.open_many([fields[i] for i in part])] == [digests[i] for i in part]
    answers = [(i, fresh.open(fields[i])) for i in certificates]
    assert [i for i, a in answers if not isinstance(a, Erased) or a.certificate_id != certificates[i]] == []
    assert fresh.open_many([fact.field for fact in newcomers]) == [fact.value for fact in newcomers]
    assert levels >= 3
    assert reading.count > 0
    assert newcomers
    tell(
        f"seed {seed}: {len(certificates)} of {many} forgotten in {len(sizes)} rotations of 1 to {max(sizes)} "
        f"in {took:.0f} s, {levels} levels; {len(bystanders)} bystanders compared; meanwhile {reading.count * 20} "
        f"reads, {len(newcomers)} newcomers, {reading.outages + making.outages} outages"
    )
    for vault in (reader, maker, forgetter, fresh):
        vault.close()
