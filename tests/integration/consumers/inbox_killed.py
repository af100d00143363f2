"""A program that takes one message off the inbox and kills itself before it can say what became of it."""

from __future__ import annotations

import os
import signal
import sys
import threading

from application.settings import Settings
from application.wiring import build_service
from consumers.inbox import Inbox
from consumers.inbox_handler import Handled, InboxHandler, Raw


class Killed(InboxHandler):
    """Carries the command out, and dies."""

    def handle(self, raw: Raw) -> Handled:
        super().handle(raw)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def main(events_dsn: str, keys_dsn: str, keyring: str, keys_log: str, kafka: str, prefix: str) -> None:
    settings = Settings(
        events_dsn=events_dsn,
        keys_dsn=keys_dsn,
        keyring=keyring,
        keys_log=keys_log,
        kafka=kafka,
        topic_prefix=prefix,
    )
    Inbox(settings, Killed(build_service(settings)), lambda *_: None).run(threading.Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
