"""The proxy before a broker that the tests break: once it is closed, nobody gets through any more."""

from __future__ import annotations

import socket

import pytest
from kafka_proxy import SlowProxy


def test_a_closed_proxy_takes_nobody_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as behind:
        proxy = SlowProxy(behind.getsockname()[1])
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as through:
            through.sendall(b"one")
            assert behind.accept()[0].recv(3) == b"one"
        proxy.close()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
