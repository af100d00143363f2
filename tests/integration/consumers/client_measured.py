"""A process in which a client waits for an outcome while strangers write claims, and says how much memory that took.

Its arguments: the brokers, the topic, a JWK set, and of two messages that are waited for the ids, publisher and record.
The keys cannot be had until something is held for the second message, whose outcome lies behind the claims about the
first. In bytes: how far the memory went up at most.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from reader_measured import most_memory

from casekeeper_client import NoOutcome, OutcomeKeysUnavailable, outcome_keys
from casekeeper_client.outcome_keys import OutcomeKeys
from casekeeper_client.outcomes import Outcomes


class Keys:
    """A JWK set that cannot be had as long as it is away."""

    def __init__(self, jwks: Any) -> None:
        self.away = True
        self._jwks = jwks

    def __call__(self) -> Any:
        if self.away:
            raise OSError
        return self._jwks


def wait_until_held(waiting: Outcomes, message_id: str) -> None:
    """Return once there is something for the message that cannot be verified."""
    while True:
        try:
            waiting.wait([message_id], 0.5)
        except OutcomeKeysUnavailable:
            return
        except NoOutcome:
            continue


def main() -> None:
    brokers, topic, jwks, publisher_id, message, *message_ids = sys.argv[1:]
    outcome_keys.PAUSE_SECONDS = 0.1
    keys = Keys(json.loads(jwks))
    waiting = Outcomes(brokers.split(","), topic, publisher_id, OutcomeKeys(keys), {})
    for message_id in message_ids:
        waiting.expect(message_id, message.encode())
    before = most_memory()
    print("ready", flush=True)
    wait_until_held(waiting, message_ids[1])
    grown, dropped = most_memory() - before, waiting.passed_over
    keys.away = False
    [outcome] = waiting.wait([message_ids[1]], 30)
    said = {"grown": grown, "dropped": dropped, "passed_over": waiting.passed_over, "told": type(outcome).__name__}
    print(json.dumps(said), flush=True)
    waiting.close()


if __name__ == "__main__":
    main()
