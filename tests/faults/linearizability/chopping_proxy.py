"""A TCP proxy before PostgreSQL that cuts connections at random: a query on its way, or an answer on its way back.

Run as a program: ``chopping_proxy.py HOST PORT CHANCE`` prints its own port and runs until it is ended.
"""

from __future__ import annotations

import random
import select
import socket
import sys
from contextlib import suppress
from threading import Thread


class ChoppingProxy:
    """``chance``: of a cut, for each piece of data. Half of them lose a query, half an answer."""

    def __init__(self, server: tuple[str, int], chance: float) -> None:
        self._server = server
        self._chance = chance
        self._random = random.Random("chopping")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def run(self) -> None:
        """Forward connections for ever."""
        while True:
            client, _ = self._listening.accept()
            Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._server) as server:
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 18)
                    if not data or self._random.random() < self._chance:
                        return
                    (server if source is client else client).sendall(data)


if __name__ == "__main__":
    proxy = ChoppingProxy((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
    print(proxy.port, flush=True)
    proxy.run()
