"""``casekeeper worker``: one worker process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import structlog

from application.settings import Settings

if TYPE_CHECKING:
    from store.log import EventLog


@click.command("worker")
@click.option(
    "--only", metavar="NAME,…", help="Run only these parts: relay, inbox, schedule, projections, or a view's name."
)
def command(only: str | None) -> None:
    """Run one worker process until SIGTERM or Ctrl-C: relay, inbox, projections, forgetting and the schedule.

    Any number of workers may run at once; each part has one leader, or shares its work. With CASEKEEPER_METRICS it
    answers GET /metrics there.

    \b
    Example:
      casekeeper worker --only relay,projections
    """
    from consumers.worker import chosen, run_worker

    names = [name.strip() for name in only.split(",")] if only else None
    try:
        chosen(names)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--only") from None
    settings = Settings.load()
    address = settings.metrics_address
    sys.exit(run_worker(settings, names, opened=lambda log: _serve_metrics(address, log)))


def _serve_metrics(address: tuple[str, int] | None, log: EventLog) -> None:
    """Answer for this worker's metrics; one that cannot works on without, for nothing else depends on them."""
    from api.metrics import page, worker_readings
    from api.metrics_server import MetricsServer

    if address is None:
        return
    readings = worker_readings(log)
    try:
        MetricsServer(*address, lambda: page(readings))
    except OSError as error:
        structlog.get_logger().error("metrics cannot be served", port=address[1], error=error)
