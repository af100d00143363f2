"""A TCP proxy before a broker: late, narrow, or silent. Clients are told its address by the broker itself."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from queue import Queue

_CHUNK = 16 * 1024


class SlowProxy:
    """Forwards to a port of loopback. ``delay``: seconds that all is late; ``rate``: bytes a second, 0 for any.

    ``silent``: connections stay open and nothing passes, either way, until it is taken back.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.delay = 0.0
        self.rate = 0
        self.silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone would leave the thread that waits in accept to take one more.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        under_way: Queue[tuple[float, bytes]] = Queue()
        threading.Thread(target=self._deliver, args=(under_way, sink), daemon=True).start()
        data = b" "
        while data:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            under_way.put((time.monotonic() + self.delay, data))
            time.sleep(len(data) / self.rate if self.rate else 0)

    def _deliver(self, under_way: Queue[tuple[float, bytes]], sink: socket.socket) -> None:
        with suppress(OSError):
            while True:
                due, data = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                while self.silent:
                    time.sleep(0.05)
                if not data:
                    break
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
