"""A TCP proxy before PostgreSQL that cuts a connection at the worst moment of the next append."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from psycopg2.extensions import make_dsn, parse_dsn

_APPEND = b"append_commands"


class CuttingProxy:
    """Forwards to a server; ``cut`` arms it for one append.

    ``before``: drops the query. ``waiting``: forwards the query, cuts the client off at once. ``after``: forwards the
    query, waits until the server has answered (so it has committed), and drops the answer.
    """

    def __init__(self, dsn: str) -> None:
        self._server = parse_dsn(dsn)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._armed: str | None = None
        self._meanwhile: Callable[[], None] = lambda: None
        self.happened = Event()
        self.dsn = make_dsn(dsn, host="127.0.0.1", port=self._listening.getsockname()[1], sslmode="disable")
        Thread(target=self._accept, daemon=True).start()

    def cut(self, moment: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Arm: at ``moment`` of the next append run ``meanwhile``, then cut the connection."""
        self._armed, self._meanwhile = moment, meanwhile

    def close(self) -> None:
        # Closing alone would leave the thread that waits in accept to take one more.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                Thread(target=self._forward, args=(client, self._connect()), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._server.get("host", "127.0.0.1"), self._server.get("port", "5432")
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((host, int(port)))

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 20)
                    if not data:
                        return
                    if source is client and _APPEND in data and self._armed:
                        self._cut(data, server)
                        return
                    (server if source is client else client).sendall(data)

    def _cut(self, query: bytes, server: socket.socket) -> None:
        moment, self._armed = self._armed, None
        if moment != "before":
            server.sendall(query)
        if moment == "after":
            assert server.recv(1)
        self._meanwhile()
        self.happened.set()
