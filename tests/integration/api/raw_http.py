"""HTTP by hand over a socket: bytes out, everything that comes back, and whether the connection was closed."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

NEXT = b"GET /health/live HTTP/1.1\r\nHost: next\r\n\r\n"
"""A whole request, as an attacker would hide it behind another."""


@dataclass(frozen=True)
class Exchange:
    """What came back: ``closed`` by the server (orderly or by reset), and after how many seconds of waiting."""

    received: bytes
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """Statuses of all answers, interim ones left out."""
        return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.received) if s != b"100"]


def post(body: bytes, *headers: bytes, path: bytes = b"/v1/subjects", version: bytes = b"1.1") -> bytes:
    """Return a POST with exactly these header lines after ``Host``."""
    lines = [b"POST " + path + b" HTTP/" + version, b"Host: casekeeper", *headers, b"", b""]
    return b"\r\n".join(lines) + body


def exchange(port: int, *pieces: bytes, wait: float = 5.0, quiet: float = 0.4, half_close: bool = False) -> Exchange:
    """Send the pieces, then read until the server closes, is quiet after an answer, or ``wait`` seconds are over."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received, closed = _send(raw, pieces)
        if half_close and not closed:
            raw.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        while not closed and time.monotonic() - began < wait:
            raw.settimeout(quiet if received else wait)
            try:
                more = raw.recv(65536)
            except TimeoutError:
                break
            except ConnectionError:
                more = b""
            received += more
            closed = not more
        return Exchange(received, closed, time.monotonic() - began)


def _send(raw: socket.socket, pieces: Sequence[bytes]) -> tuple[bytes, bool]:
    for number, piece in enumerate(pieces):
        if number:
            time.sleep(0.1)
        try:
            raw.sendall(piece)
        except ConnectionError:
            # Refused before all was sent: what was answered can still be read, unless the connection was reset.
            try:
                return raw.recv(65536), True
            except ConnectionError:
                return b"", True
    return b"", False
