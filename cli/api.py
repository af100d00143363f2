"""``casekeeper api``: one API process."""

from __future__ import annotations

import click

from api.serving import THREADS
from application.settings import Settings
from ops.ports import free_port, is_free

PREFERRED_PORT = 8080
STOP_SECONDS = 10
"""How long requests under way may take to finish after SIGTERM."""


@click.command("api")
@click.option("--threads", type=click.IntRange(1, 512), default=THREADS, show_default=True, help="Requests at once.")
def command(threads: int) -> None:
    """Serve HTTP on CASEKEEPER_HOST and CASEKEEPER_PORT until SIGTERM or Ctrl-C; requests under way are finished.

    Without CASEKEEPER_PORT it takes 8080 if that is free, else any free port, and prints the address.

    \b
    Example:
      CASEKEEPER_PORT=8080 casekeeper api
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.server import Server

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
        websockets=False,
        blocking_threads=threads,
        workers_kill_timeout=STOP_SECONDS,
        log_enabled=False,
    )
    server.serve()


def _port(host: str) -> int:
    return PREFERRED_PORT if is_free(PREFERRED_PORT, host) else free_port(host)
