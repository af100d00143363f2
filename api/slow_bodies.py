"""Bodies that never end: a sender has a minute for a body; after that its connection is closed.

The web server has a limit of time for a request's head and none for its body: the thread that reads one waits inside
the server, which nothing interrupts but the connection's end. So the connection is ended, from below: of this process'
sockets on the port, those to which nothing was sent for as long as a body may take (Linux, ``tcp_info``).
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from api.admission import MOST_BODIES, Busy

BODY_SECONDS = 60.0
"""Longest that a body may take to arrive."""
_LOOK_EVERY = 5.0
_LAST_DATA_SENT = 44
"""Where ``tcpi_last_data_sent`` is in ``struct tcp_info`` (linux/tcp.h): milliseconds, an unsigned 32-bit number."""

log = structlog.get_logger("api")


class Bodies:
    """Counts the bodies being read, and ends connections whose body takes too long."""

    def __init__(self, most: int = MOST_BODIES, seconds: float = BODY_SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._since: dict[int, tuple[float, tuple[int, str]]] = {}
        self._next = 0
        self._watching = False

    @contextmanager
    def reading(self, port: int, address: str) -> Iterator[None]:
        """Count a body that an address sends to a port while it is read. Raises :class:`Busy` over the most."""
        number = self._begin((port, address))
        try:
            yield
        finally:
            with self._lock:
                del self._since[number]

    def _begin(self, sender: tuple[int, str]) -> int:
        with self._lock:
            if len(self._since) >= self._most:
                raise Busy
            self._next += 1
            self._since[self._next] = (time.monotonic(), sender)
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="slow-bodies", daemon=True).start()
            return self._next

    def _watch(self) -> None:
        while True:
            time.sleep(min(_LOOK_EVERY, self._seconds))
            with self._lock:
                late = {sender for since, sender in self._since.values() if time.monotonic() - since > self._seconds}
            for port, address in late:
                try:
                    ended = end_silent_connections(port, address, self._seconds)
                except OSError as error:
                    # No descriptor left to look with, perhaps: the next round looks again.
                    log.warning("connections with slow bodies not closed", error=error)
                else:
                    log.warning("connections with slow bodies closed", count=ended)


def end_silent_connections(port: int, address: str, seconds: float) -> int:
    """End this process' connections from an address to a port to which nothing was sent for so long; return how many.

    The web server does not say which of an address' connections a body comes in on, so all that are silent end.
    """
    ended = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            ended += _end_if_silent(int(name), port, address, seconds)
    return ended


def _end_if_silent(number: int, port: int, address: str, seconds: float) -> bool:
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        return False
    # A duplicate stays the same socket even when the server closes the original at this moment.
    with socket.socket(fileno=os.dup(number)) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
            return False
        if connection.getpeername()[0] != address:
            return False
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (silent,) = struct.unpack_from("I", info, _LAST_DATA_SENT)
        if connection.getsockname()[1] != port or silent < seconds * 1000:
            return False
        connection.shutdown(socket.SHUT_RDWR)
        return True
