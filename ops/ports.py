"""Free ports on loopback, remembered in a file so that a server keeps its address between runs."""

from __future__ import annotations

import socket
from pathlib import Path

from ops.files import write_private

LOOPBACK = "127.0.0.1"
_CLAIMS: dict[int, socket.socket] = {}


def remembered_port(file: Path, preferred: int | None = None, host: str = LOOPBACK) -> int:
    """Return the port written in ``file`` if it is free, else ``preferred`` if free, else any free one; write it.

    The port is claimed: another copy that starts at this moment chooses another, though nobody listens on it yet.
    """
    wanted = [_read(file), preferred]
    port = next((port for port in wanted if port is not None and is_free(port, host) and claim(port)), None)
    while port is None:
        found = free_port(host)
        port = found if claim(found) else None
    write_private(file, f"{port}\n")
    return port


def claim(port: int) -> bool:
    """Reserve a port among the copies on this machine while this process lives; False if another has it.

    The claim is the name of an abstract socket, which the kernel gives to one process only (unix(7)).
    """
    if port in _CLAIMS:
        return True
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claimed.bind(f"\0casekeeper-port-{port}")
    except OSError:
        claimed.close()
        return False
    _CLAIMS[port] = claimed
    return True


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            return False
        return True


def free_port(host: str = LOOPBACK) -> int:
    """Return a port nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def answers(port: int, host: str = LOOPBACK, seconds: float = 1.0) -> bool:
    """Tell whether somebody accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


def answers_at(server: str) -> bool:
    """Tell whether somebody accepts TCP connections at ``host:port``; no, where that is not its form."""
    host, _, port = server.strip().rpartition(":")
    return port.isdigit() and answers(int(port), host.strip("[]"))


def silent(servers: str) -> list[str]:
    """Return those of comma-separated servers at which nobody accepts TCP connections."""
    return [server for server in servers.split(",") if not answers_at(server)]


def _read(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
