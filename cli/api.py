"""``casekeeper api``: one API process."""

from __future__ import annotations

import os

import click

from api.admission import MOST_AT_ONCE, threads_needed
from application.settings import Settings, variable
from ops.ports import free_port, is_free

PREFERRED_PORT = 8080
STOP_SECONDS = 10
"""How long requests under way may take to finish after SIGTERM."""
MOST_CONNECTIONS = 2048
"""Most connections open at once; the next ones wait to be accepted."""
HEAD_SECONDS = 15
"""Longest that a request's head may take to arrive, and that a connection may be idle between two requests."""
MAX_HEAD_BYTES = 64 * 1024
"""Longest head of a request, its first line and headers; the server takes at most 100 headers."""


@click.command("api")
@click.option("--threads", type=click.IntRange(1, MOST_AT_ONCE), help="Requests at once; else CASEKEEPER_API_THREADS.")
def command(threads: int | None) -> None:
    """Serve HTTP on CASEKEEPER_HOST and CASEKEEPER_PORT until SIGTERM or Ctrl-C; requests under way are finished.

    Without CASEKEEPER_PORT it takes 8080 if that is free, else any free port, and prints the address.

    \b
    Example:
      CASEKEEPER_PORT=8080 casekeeper api
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server import Server

    if threads is not None:
        # The worker process reads its settings itself.
        os.environ[variable("api_threads")] = str(threads)
    settings = Settings.load()
    port = int(settings.port) if settings.port else _port(settings.host)
    click.echo(f"http://{settings.host}:{port}")
    server = Server(
        "cli.serving:application",
        factory=True,
        address=settings.host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=MAX_HEAD_BYTES),
        websockets=False,
        backlog=MOST_CONNECTIONS,
        backpressure=MOST_CONNECTIONS,
        blocking_threads=threads_needed(settings),
        workers_kill_timeout=STOP_SECONDS,
        log_enabled=False,
    )
    server.serve()


def _port(host: str) -> int:
    return PREFERRED_PORT if is_free(PREFERRED_PORT, host) else free_port(host)
