"""Settings of a topic, changed behind the service's back."""

from __future__ import annotations

from contextlib import closing

from kafka.admin import ConfigResource

from consumers.clients import admin
from tests.waiting import until


def set_topic(kafka: str, topic: str, **settings: str) -> None:
    """Change settings, named with ``_`` for ``.``, and return when the broker shows them: it answers before that."""
    wanted = {name.replace("_", "."): value for name, value in settings.items()}
    with closing(admin(kafka)) as client:

        def taken() -> bool:
            return client.alter_configs([ConfigResource("TOPIC", topic, wanted)])["topic"][topic] == "OK"

        def shown() -> bool:
            found = client.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")["topic"][topic]
            return all(found[name]["value"] == value for name, value in wanted.items())

        until(taken, 30, "the change")
        until(shown, 30, "the changed settings")
