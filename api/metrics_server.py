"""A worker's ``GET /metrics``, on an address of its own: the one thing a worker answers over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from api.metrics import CONTENT_TYPE

TIMEOUT_SECONDS = 10.0
"""Longest that a client may take to send its request or to read the answer."""


class MetricsServer:
    """Answers ``GET /metrics`` with ``page()`` and nothing else, in threads of its own, until closed.

    Raises ``OSError`` when the address cannot be listened on. Port 0 takes a free one, see :attr:`port`.
    """

    def __init__(self, host: str, port: int, page: Callable[[], bytes]) -> None:
        class Handler(_Handler):
            answer = staticmethod(page)

        self._server = _Server((host, port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hung up is no event of ours, and its address is not ours to log."""


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_SECONDS
    server_version = "casekeeper"
    sys_version = ""
    answer: Callable[[], bytes]

    def do_GET(self) -> None:
        """Answer with the metrics."""
        if self.path != "/metrics":
            self.send_error(404)
            return
        body = self.answer()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_args: Any) -> None:
        """Log nothing: a scrape every few seconds says nothing new."""
