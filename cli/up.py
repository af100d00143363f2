"""``casekeeper up``: the whole service on this machine."""

from __future__ import annotations

import click

from ops.up import Run


@click.command("up")
def command() -> None:
    """Start PostgreSQL, Kafka and every process of the service, and watch them until Ctrl-C.

    State is kept in .casekeeper, or CASEKEEPER_HOME; started again, everything is still there. Servers named by
    CASEKEEPER_KAFKA, CASEKEEPER_EVENTS_DSN, CASEKEEPER_VIEWS_DSN and CASEKEEPER_KEYS_DSN take the place of local ones.

    \b
    Example:
      CASEKEEPER_HOME=/srv/casekeeper CASEKEEPER_PORT=9000 casekeeper up
    """
    Run(click.echo)()
