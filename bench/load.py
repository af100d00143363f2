"""``python -m bench.load PORT CLIENTS SECONDS STATUS FILE``: keeps a server busy over kept-alive connections.

One process and one thread: each client sends its next request as soon as it has its answer. FILE is a JSON list of
``[path, token]``, used in turn, and every request has an ``Idempotency-Key`` of its own. Ends with a line of JSON:
requests answered, seconds, its own CPU seconds. Any other status than STATUS ends it with an error.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from itertools import cycle
from pathlib import Path
from uuid import uuid4

BODY = json.dumps({"text": "Asked the hospital for the imaging. " * 10}).encode()
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Client:
    """One connection with one request under way."""

    def __init__(self, port: int, status: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._status = b"HTTP/1.1 " + status
        self._got = b""

    def send(self, path: str, token: str) -> None:
        """Send the next request."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\nIdempotency-Key: {uuid4()}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + BODY)

    def answered(self) -> bool:
        """Take in what has arrived; return whether the answer is complete. Raises ``RuntimeError`` on another one."""
        received = self.socket.recv(65536)
        self._got += received
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found and received:
            return False
        length = _LENGTH.search(head)
        if not head.startswith(self._status) or length is None:
            raise RuntimeError(f"answered {head[:200]!r}")
        if len(body) < int(length[1]):
            return False
        self._got = b""
        return True


def load(port: int, clients: int, seconds: float, status: str, calls: list[tuple[str, str]]) -> tuple[int, float]:
    """Return how many requests were answered, and the seconds it took."""
    waiting, done, left = selectors.DefaultSelector(), 0, cycle(calls)
    opened = [Client(port, status.encode()) for _ in range(clients)]
    started = time.perf_counter()
    for client in opened:
        waiting.register(client.socket, selectors.EVENT_READ, client)
        client.send(*next(left))
    under_way = clients
    while under_way:
        for key, _ in waiting.select():
            if key.data.answered():
                done += 1
                if time.perf_counter() - started < seconds:
                    key.data.send(*next(left))
                else:
                    under_way -= 1
    elapsed = time.perf_counter() - started
    for client in opened:
        client.socket.close()
    return done, elapsed


def main() -> None:
    """Run as said on the command line."""
    port, clients, seconds, status, file = sys.argv[1:]
    calls = [(path, token) for path, token in json.loads(Path(file).read_text())]
    before = time.process_time()
    done, elapsed = load(int(port), int(clients), float(seconds), status, calls)
    print(json.dumps({"requests": done, "seconds": elapsed, "cpu": time.process_time() - before}))


if __name__ == "__main__":
    main()
