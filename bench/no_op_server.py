"""``python -m bench.no_op_server PORT``: the no-op application on the web server, set as ours is."""

from __future__ import annotations

import sys

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from api.admission import threads_needed
from application.settings import Settings
from cli.api import HEAD_SECONDS, MAX_HEAD_BYTES, MOST_CONNECTIONS, STOP_SECONDS


def main() -> None:
    """Serve until SIGTERM."""
    Server(
        "bench.no_op_app:application",
        factory=True,
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=MAX_HEAD_BYTES),
        websockets=False,
        backlog=MOST_CONNECTIONS,
        backpressure=MOST_CONNECTIONS,
        blocking_threads=threads_needed(Settings()),
        workers_kill_timeout=STOP_SECONDS,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
