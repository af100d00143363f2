"""``casekeeper migrate``: the databases brought to the current schema by their owner."""

from __future__ import annotations

import json

import click

from application.settings import Settings
from ops.grants import grant
from ops.servers import owner_dsns
from store.migrate import EVENTS_MIGRATIONS, migrate
from vault.vault import MIGRATIONS


@click.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Apply the migrations that are not applied yet, forward only, and give each role its rights.

    Connects as the owner: by CASEKEEPER_EVENTS_DSN and CASEKEEPER_KEYS_DSN, else to the running embedded servers. Views
    need no migration: they make their tables themselves.

    \b
    Example:
      casekeeper migrate
    """
    events, keys = owner_dsns(Settings.load().home_path)
    applied = {"events": migrate(events, EVENTS_MIGRATIONS), "keys": migrate(keys, MIGRATIONS)}
    grant(events, "events")
    grant(keys, "keys")
    if as_json:
        click.echo(json.dumps(applied))
        return
    for store, names in applied.items():
        click.echo(f"{store}: {', '.join(names) if names else 'current'}")
