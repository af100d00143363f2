"""A program that runs a projection and kills itself at a named place around moving its position."""

from __future__ import annotations

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(__file__))

from log_copy import LogCopy
from psycopg2.extensions import cursor as Cursor
from tally import Tally, run_once

from application.settings import Settings
from consumers.runner import ProjectionRunner


def main(events_dsn: str, views_dsn: str, kafka: str, prefix: str, seam: str) -> None:
    class Killed(ProjectionRunner):
        def move(self, cursor: Cursor, from_: int, to: int) -> None:
            if seam == "between rows and position":
                os.kill(os.getpid(), signal.SIGKILL)
            super().move(cursor, from_, to)
            if seam == "before commit":
                os.kill(os.getpid(), signal.SIGKILL)

        def _tick(self, connection: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(events_dsn=events_dsn, views_dsn=views_dsn, kafka=kafka, topic_prefix=prefix)
    run_once(LogCopy(settings), Killed, Tally())


if __name__ == "__main__":
    main(*sys.argv[1:])
