"""A web server whose application fails where no error handler of Flask's is asked; arguments: ``ours`` or not, marker.

``ours``: served by ``casekeeper api`` itself, whose worker loads this application instead of the service's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from application.logging import configure


def application(*_: Any) -> Callable[..., Iterable[bytes]]:
    """Return the application, after logging was set up as the worker of the service does."""
    whose, marker = os.environ["WHOSE"], os.environ["MARKER"]
    if whose == "ours":
        configure("debug")

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/at-once":
            raise ValueError(f"cannot answer {marker}")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()

    def pieces() -> Iterator[bytes]:
        yield b"begun"
        raise ValueError(f"cannot go on with {marker}")

    return answer


def main() -> None:
    os.environ["WHOSE"], os.environ["MARKER"] = sys.argv[1:3]
    if sys.argv[1] == "ours":
        import cli.main
        import cli.serving

        cli.serving.application = application  # type: ignore[assignment]
        sys.argv[1:] = ["api"]
        cli.main.main()
    else:
        from granian.constants import Interfaces
        from granian.server import Server

        port = int(os.environ["CASEKEEPER_PORT"])
        Server("failing_server:application", factory=True, port=port, interface=Interfaces.WSGI).serve()


if __name__ == "__main__":
    main()
