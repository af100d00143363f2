"""The journey's commands over the inbox, with the client library that other services install."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from casekeeper_client import Accepted, Client
from tests.e2e.copy_of_service import Copy
from tests.e2e.journey import Publish


@contextmanager
def over_inbox(copy: Copy) -> Iterator[Publish]:
    """Register a publisher and give a way to do the journey's commands through Kafka."""
    registered = json.loads(copy.run("actors", "add", "--service", "web-forms", "--json").stdout)
    client = Client(
        copy.status()["kafka"],
        inbox_key=f"{copy.url}/v1/inbox-key",
        publisher_id=registered["publisher_id"],
        private_key=registered["private_key"],
    )

    def publish(who: tuple[str, str, str], name: str, ids: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        _, purpose, actor = who
        message_id = client.publish(name, {**ids, **body}, actor=actor, purpose=purpose)
        outcome = client.wait_for_outcome(message_id, timeout=20)
        assert isinstance(outcome, Accepted), outcome
        return dict(outcome.answer)

    try:
        yield publish
    finally:
        client.close()
