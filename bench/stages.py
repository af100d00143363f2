"""``python -m bench.stages``: where the time of one command goes, by stage, inside the API process.

The real application answers in this process, one request at a time, so that every stage can be timed by itself; the
web server and the network, which the figure over HTTP has as well, are not in it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

from flask import Flask, Request
from rich.console import Console
from rich.table import Table

from api import app as api_app
from api import endpoints
from application import service
from application.idempotency import IdempotencyKeys
from application.logging import configure
from application.recent_streams import RecentStreams
from application.unit_of_work import UnitOfWork
from bench.api_copy import Copy, copy
from bench.load import BODY
from projections.views import Views
from store.log import EventLog

REQUESTS, WARM = 1000, 200
REST = "framework (Flask), headers, metrics, log line"
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("authentication: token, rights, rate", endpoints, "authenticate"),
    ("body: receive", Request, "get_data"),
    ("body: strict JSON", endpoints, "read_body"),
    ("body: schema", service, "load"),
    ("idempotency: MACs of key and body", IdempotencyKeys, "key"),
    ("idempotency: MACs of key and body", IdempotencyKeys, "record"),
    ("read streams", RecentStreams, "load"),
    ("seal", UnitOfWork, "seal"),
    ("decide: fold events, apply rules", service.Service, "_decide"),
    ("encode the record", UnitOfWork, "append"),
    ("commit", EventLog, "append"),
    ("answer", endpoints, "json_response"),
)
"""Stage, and the function whose own time is counted to it: what it calls of another stage is that one's."""


class Clock:
    """Adds up the time each stage takes by itself, without the stages inside it."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self._under_way = [REST]
        self._since = time.perf_counter(), time.thread_time()

    def enter(self, stage: str) -> None:
        """Begin a stage inside the present one."""
        self._charge()
        self._under_way.append(stage)

    def leave(self) -> None:
        """Go back to the stage around."""
        self._charge()
        self._under_way.pop()

    def restart(self) -> None:
        """Forget everything until now."""
        self._charge()
        self.wall.clear()
        self.cpu.clear()

    def _charge(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.wall[self._under_way[-1]] += now[0] - self._since[0]
        self.cpu[self._under_way[-1]] += now[1] - self._since[1]
        self._since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose own time is counted to a stage."""

        @wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            self.enter(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        return measured


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Time every stage while the block runs."""
    with ExitStack() as stack:
        for stage, owner, name in STAGES:
            stack.enter_context(mock.patch.object(owner, name, clock.timed(stage, getattr(owner, name))))
        yield


def main() -> None:
    """Print the table."""
    with open(os.devnull, "w") as nowhere, tempfile.TemporaryDirectory() as folder:
        configure("info", nowhere)
        _print(_measured(Path(folder)))


def _measured(folder: Path) -> Clock:
    clock = Clock()
    with copy(folder) as made, watched(clock):
        views = Views(made.settings.views_dsn, size=4)
        app = api_app.create_app(made.settings, made.service, views, None)
        _write_notes(app, made, WARM)
        clock.restart()
        _write_notes(app, made, REQUESTS)
    return clock


def _write_notes(app: Flask, made: Copy, count: int) -> None:
    token = made.token("a1")
    for n in range(count):
        said: list[str] = []
        answer = app(
            _environ(made.cases[n % len(made.cases)], token), lambda status, *_, said=said: said.append(status)
        )
        b"".join(answer)
        if said != ["201 CREATED"]:
            raise RuntimeError(f"answered {said}")


def _environ(case: UUID, token: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/v1/cases/{case}/notes",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "HTTP_IDEMPOTENCY_KEY": str(uuid4()),
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _print(clock: Clock) -> None:
    table = Table("stage", "µs", "of it CPU here", "share", title="one note over WSGI, mean of 1000")
    whole = sum(clock.wall.values())
    for stage in dict.fromkeys([*(stage for stage, _, _ in STAGES), REST]):
        wall, cpu = clock.wall[stage], clock.cpu[stage]
        table.add_row(stage, *(f"{1e6 * t / REQUESTS:,.0f}" for t in (wall, cpu)), f"{wall / whole:.0%}")
    table.add_row("together", *(f"{1e6 * sum(t.values()) / REQUESTS:,.0f}" for t in (clock.wall, clock.cpu)), "100%")
    Console().print(table)


if __name__ == "__main__":
    main()
