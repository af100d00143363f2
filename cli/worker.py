"""``casekeeper worker``: one worker process."""

from __future__ import annotations

import sys

import click

from application.settings import Settings


@click.command("worker")
@click.option(
    "--only", metavar="NAME,…", help="Run only these parts: relay, inbox, schedule, projections, or a view's name."
)
def command(only: str | None) -> None:
    """Run one worker process until SIGTERM or Ctrl-C: relay, inbox, projections, forgetting and the schedule.

    Any number of workers may run at once; each part has one leader, or shares its work.

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
    sys.exit(run_worker(Settings.load(), names))
